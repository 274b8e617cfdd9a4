"""What does a step of quantization-aware training cost beside a step in floating point?

The same network, the same batch, the project's own loop (forward, backward, AdamW) on one thread,
at 4 bits for every weight: once in float32, once with abs-max steps, once with learned steps. The
three take turns, and the fastest step of each counts, so that a busy machine slows none of them
alone. Two networks at 32 by 32 pixels and 64 images: ResNet-18, whose work lies in convolutions,
and VGG-11 with its full head, whose 129 million weights are the hardest case.

Budget: 1.5 times the float step (under two minutes in all, 8 GiB of memory).

Run: ``OMP_NUM_THREADS=1 python benchmarks/bench_qat.py``
"""

import argparse
import time
from contextlib import nullcontext
from itertools import repeat

import torch
from options import parsed
from torch import Tensor

from trainers.networks.backbones import build_backbone
from trainers.networks.network import Network, assemble_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.qat import QuantizedTraining
from trainers.training.loop import Recipe, train_epoch
from trainers.training.optimizers import AdamW, Group

MODES = ("none", "absmax", "lsq")
BUDGET = 1.5
SIDE, BATCH = 32, 64
# Hidden widths of the head and rounds, by the backbone.
NETWORKS: dict[str, tuple[tuple[int, ...], int]] = {
    "resnet18": ((), 8),
    "vgg11": ((4096, 4096), 5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=tuple(NETWORKS))
    options = parsed(parser, networks=("resnet18",))
    torch.set_num_threads(1)
    print(f"{'':<10}{'float s':>9}{'absmax':>9}{'lsq':>9}   (times the float step)")
    for backbone in options.networks:
        widths, rounds = NETWORKS[backbone]
        best = fastest_steps(backbone, widths, 1 if options.quick else rounds)
        ratios = [best[mode] / best["none"] for mode in MODES[1:]]
        verdict = "" if max(ratios) <= BUDGET else f"   over the budget of {BUDGET}"
        print(
            f"{backbone:<10}{best['none']:>9.3f}"
            + "".join(f"{ratio:>8.2f}x" for ratio in ratios)
            + verdict,
            flush=True,
        )


def fastest_steps(backbone: str, widths: tuple[int, ...], rounds: int) -> dict[str, float]:
    """Seconds of the fastest step of each mode."""
    steps = {mode: Step(backbone, widths, mode) for mode in MODES}
    for step in steps.values():
        step.seconds()  # the first one makes the optimizer's state
    best = dict.fromkeys(MODES, float("inf"))
    for _ in range(rounds):
        for mode, step in steps.items():
            best[mode] = min(best[mode], step.seconds())
    return best


class Step:
    """One network that is ready for a step of training."""

    def __init__(self, backbone: str, widths: tuple[int, ...], qat: str) -> None:
        parts = build_backbone(backbone, "scratch", image_size=SIDE)
        self._network: Network = assemble_network(parts, widths, 10)
        weights = self._network.set_trainable("all")
        training = QuantizedTraining(self._network, QuantizationConfig(bits=4, fc_bits=4), qat)
        self._optimizer = AdamW([Group([*weights, *training.parameters], weight_decay=0.01)])
        self._network.train()
        generator = torch.Generator().manual_seed(0)
        self._images: Tensor = torch.rand(BATCH, 3, SIDE, SIDE, generator=generator)
        self._labels = torch.randint(0, 10, (BATCH,), generator=generator)

    def seconds(self) -> float:
        """Take a step."""
        recipe = Recipe(self._optimizer, repeat(1e-4), 0.0, nullcontext)
        began = time.perf_counter()
        train_epoch(self._network, iter([(self._images, self._labels)]), recipe, epoch=1)
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
