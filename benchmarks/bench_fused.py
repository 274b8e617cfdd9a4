"""What do 64 heads cost together beside 64 heads one by one?

All train the same heads on the same cached features of one frozen backbone, an epoch at a time:
*autograd* is `FineTuning.run_epoch` of each, as any other training is done; *one by one* is
`trainers.training.fused.run_epoch` of each, as a worker trains a head that it trains alone;
*together* is `trainers.training.fused.run_epoch` of all. They take turns, and medians over the
turns count: the time of the process on its CPU, or the wall clock on a GPU. The mean losses of the
first epoch must agree; later ones tell less, where one learning rate is too high and a last bit
becomes another loss. One thread; with CUDA, everything again on the GPU.

The heads are drawn from the choices of the space `fc_quant` (one or two hidden layers of 16 to
256, three learning rates), and, as small ones, one hidden layer of 16 to 64. The features: those
of digitnet for scikit-learn's digits (576), and of a ResNet-18 for 4,000 random images (512).

To reach: together 2.5 times as fast as autograd on one CPU thread.

Run: ``OMP_NUM_THREADS=1 python benchmarks/bench_fused.py``
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from options import parsed

from trainers.config import TrialConfig
from trainers.data import DataConfig, ImageData, load_data
from trainers.training.finetune import FineTuning
from trainers.training.fused import run_epoch

GOAL = 2.5
WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256)
SECOND_WIDTHS = (16, 32, 64, 128)
RATES = (1e-3, 3e-3, 1e-2)
CLASSES = 10
# Far more than are run: the learning rate hardly falls meanwhile.
EPOCHS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    options = parsed(parser, heads=4, turns=1)
    torch.set_num_threads(1)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    print(
        f"{options.heads} heads, seconds an epoch (medians of {options.turns})\n"
        f"{'':<28}{'autograd':>10}{'one by one':>12}{'together':>10}{'than autograd':>15}"
        f"{'than one by one':>17}"
    )
    for device in devices:
        for name, config, data in tasks():
            for kind, hidden in (("small", False), ("fc_quant", True)):
                configs = heads(config, options.heads, two_layers=hidden)
                times = measured(configs, data, options.turns, torch.device(device))
                autograd, single, together = (statistics.median(of) for of in times)
                faster = autograd / together
                print(
                    f"{f'{name}, {kind}, {device}':<28}{autograd:>10.3f}{single:>12.3f}"
                    f"{together:>10.3f}{faster:>14.1f}x{single / together:>16.1f}x"
                    + ("" if device != "cpu" or faster >= GOAL else f"   below {GOAL}"),
                    flush=True,
                )


def tasks() -> list[tuple[str, TrialConfig, ImageData]]:
    digits = TrialConfig(backbone="digitnet", weights="bundled", epochs=EPOCHS)
    resnet = TrialConfig(backbone="resnet18", weights="scratch", image_size=32, epochs=EPOCHS)
    return [
        ("digits x 576", digits, load_data(DataConfig(name="digits"))),
        ("4,000 x 512", resnet, random_images(4_000, 1_000)),
    ]


def random_images(train: int, val: int) -> ImageData:
    """Noise whose mean brightness tells the class a little."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for subset, count in (("train", train), ("val", val), ("test", CLASSES)):
        labels = np.arange(count) % CLASSES
        noise = rng.integers(0, 160, (count, 3, 32, 32)) + 9 * labels[:, None, None, None]
        arrays |= {f"{subset}_images": noise.astype(np.uint8), f"{subset}_labels": labels}
    return ImageData(name="noise", classes=tuple("0123456789"), **arrays)


def heads(config: TrialConfig, count: int, *, two_layers: bool) -> list[TrialConfig]:
    rng = np.random.default_rng(0)
    choices = WIDTHS if two_layers else WIDTHS[:5]
    configs = []
    for _ in range(count):
        widths = [int(rng.choice(choices))]
        if two_layers and rng.integers(2):
            widths.append(int(rng.choice(SECOND_WIDTHS)))
        rate = float(rng.choice(RATES))
        configs.append(replace(config, widths=tuple(widths), learning_rate=rate))
    return configs


def measured(
    configs: list[TrialConfig], data: ImageData, turns: int, device: torch.device
) -> list[list[float]]:
    """Seconds of each epoch: by autograd, one by one, and together."""
    first = FineTuning(configs[0], data, device=device)
    autograd, single, together = (
        [FineTuning(config, data, device=device, like=first) for config in configs]
        for _ in range(3)
    )
    # The first turn makes the optimizers' states and is not counted.
    times = [
        [
            timed(lambda: [training.run_epoch() for training in autograd], device),
            timed(lambda: [run_epoch([training]) for training in single], device),
            timed(lambda: run_epoch(together), device),
        ]
        for _ in range(turns + 1)
    ]
    losses = [[each.reports[0].train_loss for each in of] for of in (autograd, single, together)]
    # On a GPU training in bfloat16 is compared with training in float32.
    tolerance = 1e-4 if device.type == "cpu" else 0.1
    assert all(np.allclose(losses[0], other, rtol=tolerance) for other in losses[1:]), losses
    return [list(of) for of in zip(*times[1:], strict=True)]


def timed(run: Callable[[], object], device: torch.device) -> float:
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    began = clock()
    run()
    return clock() - began


if __name__ == "__main__":
    main()
