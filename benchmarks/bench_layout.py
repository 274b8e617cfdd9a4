"""What is the layout of convolutions worth, in which all our networks lie?

Backbones with random weights, as they are built (contiguous) and channels last, in turns: images
through the network (as features and measurements need it), and a step of training but for the
optimizer. One thread; the least of several turns, in milliseconds, and channels last over
contiguous: below 1 it takes less time.

Run: ``OMP_NUM_THREADS=1 python benchmarks/bench_layout.py``
"""

import argparse
import math
import time
from collections.abc import Callable

import torch
from options import parsed
from torch import Tensor, nn

from trainers.networks.backbones.building import build_backbone

LAYOUTS = (torch.contiguous_format, torch.channels_last)
# Side of the images, and how many.
CASES = {
    "digitnet": ((28, 64),),
    "cifar_resnet20": ((32, 64),),
    "cifar_resnet56": ((32, 32),),
    "squeezenet1_0": ((64, 16), (224, 4)),
    "mobilenet_v3_small": ((64, 16), (224, 4)),
    "resnet18": ((64, 16), (224, 4)),
    "resnet50": ((64, 8), (224, 2)),
    "densenet121": ((64, 8), (224, 2)),
    "efficientnet_b0": ((64, 8), (224, 2)),
    "vgg11": ((64, 4), (224, 1)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", choices=CASES, default=tuple(CASES))
    parser.add_argument("--turns", type=int, default=7)
    options = parsed(parser, backbones=["digitnet", "cifar_resnet20"], turns=1)
    torch.set_num_threads(1)
    print(f"{'':<20}{'images':>12}{'answer ms':>18}{'':>6}{'learn ms':>18}")
    ratios: list[list[float]] = [[], []]
    for name in options.backbones:
        for side, count in CASES[name]:
            backbone = build_backbone(name, "scratch", seed=0, image_size=side)
            images = torch.rand(count, 1 if name == "digitnet" else 3, side, side)
            text = f"{name:<20}{f'{count} x {side}':>12}"
            for kind, work in enumerate((_answer, _learn)):
                before, after = _times(work, backbone.features, images, options.turns)
                ratios[kind].append(after / before)
                text += f"{before * 1e3:>9.1f}{after * 1e3:>9.1f}{after / before:>6.2f}"
            print(text, flush=True)
    means = (math.exp(sum(map(math.log, each)) / len(each)) for each in ratios)
    print("geometric means: answer {:.2f}, learn {:.2f}".format(*means))


def _answer(features: nn.Module, images: Tensor) -> None:
    features.eval()
    with torch.inference_mode():
        features(images)


def _learn(features: nn.Module, images: Tensor) -> None:
    features.train()
    features(images).square().mean().backward()


def _times(
    work: Callable[[nn.Module, Tensor], None], features: nn.Module, images: Tensor, turns: int
) -> list[float]:
    """Seconds of CPU in each layout."""
    least = dict.fromkeys(LAYOUTS, math.inf)
    # The first turn of each allocates, and is not counted.
    for turn in range(turns + 1):
        for layout in LAYOUTS:
            features.to(memory_format=layout)
            work(features, images)
            began = time.process_time()
            work(features, images)
            if turn:
                least[layout] = min(least[layout], time.process_time() - began)
    return [least[layout] for layout in LAYOUTS]


if __name__ == "__main__":
    main()
