"""What does a training recipe give a small network?

``cifar``: `cifar_resnet20` from scratch on a part of an `.npz` of CIFAR-10's own images.
``imagenette``: `mobilenet_v2`, pre-trained and all of it tuned, on a part of a folder of
Imagenette's pictures. Each recipe trains with each seed for equally many epochs, and its last
epoch is measured on images that decided nothing: the test images of the first set, the validation
pictures of the second. Printed are the tables of docs/guides/train-well.md: mean accuracies, and
the difference from the first recipe, paired by seed, with its 95 % interval (Student's t over
seeds).

Compared are trainings with and without augmentation, or with ``--reference`` the defaults of a
sweep with torchvision's reference recipe. That is the one of its
`references/classification/train.py`, written as a plain loop here: SGD with momentum 0.9, batches
of 32, `RandomResizedCrop` and a flip. Its learning rates are for 8 GPUs with 32 images each, and
are divided by 8. From scratch: 0.1 / 8, a tenth of it from the first third of the epochs on and a
hundredth from the second (30 and 60 of its 90), weight decay 1e-4. For `mobilenet_v2`: 0.045 / 8,
falling exponentially by its 0.98 ** 300, weight decay 4e-5. The initial weights of a seed are
those of ours.

Run: ``python benchmarks/recipe_table.py cifar10.npz``, some twelve minutes on one core;
``... cifar10.npz --reference``; ``... imagenette2-160 --reference --set imagenette --weights
mobilenet_v2.pth``.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from options import parsed
from torch import nn
from torchvision.transforms import v2

from orchestrator.analysis.statistics.intervals import mean_interval
from trainers.config import TrialConfig
from trainers.data import ImageData, load_data
from trainers.data.config import DataConfig
from trainers.data.splits import stratified_choice
from trainers.evaluators.accuracy import accuracy
from trainers.recipes.config import RecipeConfig
from trainers.training.finetune import FineTuning

Trained = Callable[[TrialConfig, ImageData], nn.Module]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images_at")
    parser.add_argument("--set", choices=("cifar", "imagenette"), default="cifar")
    parser.add_argument("--reference", action="store_true", help="compare with torchvision's")
    parser.add_argument("--weights", default="scratch")
    parser.add_argument("--side", type=int, default=128, help="of Imagenette's pictures")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    options = parsed(parser, images=50, epochs=1, seeds=2, side=32)
    torch.set_num_threads(1)
    data = _images(options)
    # What no key of `training` is written for, but `tune`.
    config = TrialConfig(
        backbone="cifar_resnet20" if options.set == "cifar" else "mobilenet_v2",
        weights=options.weights,
        image_size=None if options.set == "cifar" else options.side,
        widths=None,
        tune="all",
        epochs=options.epochs,
        batch_size=128,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=1e-4,
        seed=0,
    )
    ways = _against_torchvision(options) if options.reference else _with_and_without()
    found: dict[str, list[float]] = {name: [] for name in ways}
    seconds = dict.fromkeys(ways, 0.0)
    # Seed by seed, so that an interrupted run still shows complete pairs.
    for seed in range(options.seeds):
        for name, way in ways.items():
            began = time.perf_counter()
            network = way(replace(config, seed=seed), data)
            found[name].append(accuracy(network.eval(), *data.subset("test")))
            seconds[name] += time.perf_counter() - began
            print(f"seed {seed}, {name}: {found[name][-1]:.4f}", flush=True)
    _print(found, seconds, options.seeds)


_SGD: dict[str, Any] = {
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "weight_decay": 5e-4,
    "batch_size": 64,
}


def _with_and_without() -> dict[str, Trained]:
    flipped = {**_SGD, "recipe": RecipeConfig(augment="crop_flip")}
    return {
        "no augmentation": partial(by_recipe, changes=_SGD),
        "`augment: crop_flip`": partial(by_recipe, changes=flipped),
    }


def _against_torchvision(options: argparse.Namespace) -> dict[str, Trained]:
    thirds = [round(options.epochs * share / 3) for share in (1, 2)]
    falls = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.98 ** (300 / options.epochs))
    steps = partial(torch.optim.lr_scheduler.MultiStepLR, milestones=thirds)
    if options.set == "cifar":
        reference = partial(by_torchvision, peak=0.0125, decay=1e-4, schedule=steps)
    else:
        reference = partial(by_torchvision, peak=0.005625, decay=4e-5, schedule=falls)
    return {
        "torchvision's reference": reference,
        "the defaults": partial(by_recipe, changes={}),
    }


def _images(options: argparse.Namespace) -> ImageData:
    if options.set == "cifar":
        whole = load_data(DataConfig(npz=options.images_at, val_fraction=0.02))
    else:
        config = DataConfig(folder=options.images_at, image_size=options.side, test_fraction=0.02)
        whole = load_data(config)
        # Measured once, after the training, and not after each of its epochs.
        val, test = whole.subset("val"), whole.subset("test")
        whole = replace(whole, val_images=test[0], val_labels=test[1])
        whole = replace(whole, test_images=val[0], test_labels=val[1])
    chosen = stratified_choice(whole.train_labels, options.images, 0)
    images, labels = whole.train_images[chosen], whole.train_labels[chosen]
    return replace(whole, train_images=images, train_labels=labels)


def by_recipe(config: TrialConfig, data: ImageData, *, changes: dict[str, Any]) -> nn.Module:
    """Train by our settings."""
    training = FineTuning(replace(config, **changes), data, device=torch.device("cpu"))
    while not training.finished:
        training.run_epoch()
    return training.network


def by_torchvision(
    config: TrialConfig, data: ImageData, *, peak: float, decay: float, schedule: Any
) -> nn.Module:
    """Train by torchvision's reference recipe, in a loop of its own."""
    network = FineTuning(config, data, device=torch.device("cpu")).network
    torch.manual_seed(config.seed)
    images, labels = torch.tensor(data.train_images), torch.tensor(data.train_labels)
    size = (images.shape[2], images.shape[3])
    change = v2.Compose([v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()])
    optimizer = torch.optim.SGD(network.parameters(), peak, momentum=0.9, weight_decay=decay)
    rates = schedule(optimizer)
    for _ in range(config.epochs):
        network.train()
        for chosen in torch.split(torch.randperm(len(images)), 32):
            batch = torch.stack([change(images[index]) for index in chosen]).float() / 255
            loss = nn.functional.cross_entropy(network(batch), labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        rates.step()
    return network


def _print(found: dict[str, list[float]], seconds: dict[str, float], seeds: int) -> None:
    first = next(iter(found.values()))
    print("\n| recipe | accuracy of each seed | mean | difference | 95 % interval | time |")
    print("|---|---|--:|--:|--:|--:|")
    for name, values in found.items():
        each = ", ".join(f"{100 * value:.1f}" for value in values)
        cells = f"{100 * np.mean(values):.1f} %"
        difference, interval = "", ""
        if values is not first:
            ends = mean_interval(values, first)
            difference = f"{100 * (np.mean(values) - np.mean(first)):+.1f} points"
            interval = f"{100 * ends.low:+.1f} to {100 * ends.high:+.1f}"
        taken = f"{seconds[name] / seeds:.0f} s"
        print(f"| {name} | {each} | {cells} | {difference} | {interval} | {taken} |")


if __name__ == "__main__":
    main()
