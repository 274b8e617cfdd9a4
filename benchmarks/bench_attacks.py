"""What does our PGD cost beside a loop written by hand?

Both evaluate the same network on the same images in the same batches: one forward pass to see
what is right, a random start, so many steps of PGD in Linf, one forward pass to see what is left.
They take turns, two batches each, and both must leave the same images right. Counted is the time
of the process on its CPUs, so that others on the machine disturb less.

Run: ``python benchmarks/bench_attacks.py --images 1000 --steps 10``
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from options import parsed
from torch import Tensor, nn
from torch.nn import functional

from trainers.determinism import derive_seed
from trainers.evaluators.config import AttackConfig
from trainers.evaluators.robustness import attacked_images, robust_accuracy

EPSILON, BATCH, SEED, LIMIT = 8 / 255, 64, 0, 1.2
TURN = 2 * BATCH


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    options = parsed(parser, images=64, steps=2)
    torch.set_num_threads(options.threads)
    network, images, labels = task(options.images)
    attack = AttackConfig("pgd", EPSILON, steps=options.steps, samples=options.images)
    # The first use imports foolbox.
    robust_accuracy(network, images[:BATCH], labels[:BATCH], attack, seed=SEED)
    ours: list[float] = []
    hand: list[float] = []
    for first in range(0, len(images), TURN):
        turn = (images[first : first + TURN], labels[first : first + TURN])
        seconds, found = timed(partial(robust_accuracy, network, *turn, attack, seed=SEED))
        ours.append(seconds)
        seconds, expected = timed(partial(by_hand, network, *turn, options.steps))
        hand.append(seconds)
        assert (found.robust == expected).all()
    turns = [a / b for a, b in zip(ours, hand, strict=True)]
    print(
        f"PGD-{options.steps} on {len(images)} images: ours {sum(ours):.2f} s, by hand "
        f"{sum(hand):.2f} s of CPU\n{sum(ours) / sum(hand):.2f} times a loop by hand (median of "
        f"turns {statistics.median(turns):.2f}); at most {LIMIT} is promised"
    )


def task(count: int) -> tuple[nn.Module, np.ndarray, np.ndarray]:
    """An untrained CNN of 24,000 parameters, and noise that it is asked to name."""
    torch.manual_seed(SEED)
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(32, 48, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(192, 10)).eval()
    images = np.random.default_rng(SEED).integers(0, 256, (count, 3, 32, 32)).astype(np.uint8)
    with torch.inference_mode():
        labels = network(torch.tensor(images).float() / 255).argmax(1).numpy()
    return network, images, labels


def by_hand(network: nn.Module, images: np.ndarray, labels: np.ndarray, steps: int) -> np.ndarray:
    """The same as `robust_accuracy`, without a library."""
    network.requires_grad_(requires_grad=False)
    step = 2.5 * EPSILON / steps
    chosen = attacked_images(labels, len(labels))
    torch.manual_seed(derive_seed(SEED, "start"))
    found = []
    for first in range(0, len(chosen), BATCH):
        batch = chosen[first : first + BATCH]
        pixels, expected = torch.tensor(images[batch]).float() / 255, torch.tensor(labels[batch])
        right = answers(network, pixels) == expected
        x = (pixels + torch.empty_like(pixels).uniform_(-EPSILON, EPSILON)).clamp(0, 1)
        for _ in range(steps):
            x.requires_grad_()
            loss = functional.cross_entropy(network(x), expected, reduction="sum")
            slope = torch.autograd.grad(loss, x)[0]
            with torch.no_grad():
                x = x + step * slope.sign()
                x = (pixels + (x - pixels).clamp(-EPSILON, EPSILON)).clamp(0, 1)
        found.append(right & (answers(network, x) == expected))
    network.requires_grad_(requires_grad=True)
    return torch.cat(found).numpy()


def answers(network: nn.Module, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = network(pixels)
        return found.argmax(1)


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = run()
    return time.process_time() - began, result


if __name__ == "__main__":
    main()
