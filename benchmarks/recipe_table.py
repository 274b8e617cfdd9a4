"""What does a training recipe give a small network that is trained from scratch?

`cifar_resnet20` is trained on a part of an `.npz` of CIFAR-10's own images, once for each seed and
recipe, and its last epoch is measured on the test images. Printed is the table of
docs/guides/train-well.md: mean accuracies, and the difference from the first recipe, paired by
seed, with its 95 % interval (Student's t over seeds).

Run: ``python benchmarks/recipe_table.py cifar10.npz``; some twelve minutes on one core.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from options import parsed

from orchestrator.analysis.statistics.intervals import mean_interval
from trainers.config import TrialConfig
from trainers.data import ImageData, load_data
from trainers.data.config import DataConfig
from trainers.data.splits import stratified_choice
from trainers.evaluators.accuracy import accuracy
from trainers.recipes.config import RecipeConfig
from trainers.training.finetune import FineTuning

RECIPES = {
    "no augmentation": RecipeConfig(),
    "`augment: crop_flip`": RecipeConfig(augment="crop_flip"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("npz")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    options = parsed(parser, images=50, epochs=1, seeds=2)
    torch.set_num_threads(1)
    whole = load_data(DataConfig(npz=options.npz, val_fraction=0.02))
    chosen = stratified_choice(whole.train_labels, options.images, 0)
    data = replace(
        whole, train_images=whole.train_images[chosen], train_labels=whole.train_labels[chosen]
    )
    found: dict[str, list[float]] = {name: [] for name in RECIPES}
    seconds = dict.fromkeys(RECIPES, 0.0)
    # Seed by seed, so that an interrupted run still shows complete pairs.
    for seed in range(options.seeds):
        for name, recipe in RECIPES.items():
            began = time.perf_counter()
            found[name].append(trained(data, recipe, seed, options.epochs))
            seconds[name] += time.perf_counter() - began
            print(f"seed {seed}, {name}: {found[name][-1]:.4f}", flush=True)
    first = next(iter(found.values()))
    print("\n| recipe | test accuracy of each seed | mean | difference | 95 % interval | time |")
    print("|---|---|--:|--:|--:|--:|")
    for name, values in found.items():
        each = ", ".join(f"{100 * value:.1f}" for value in values)
        cells = f"{100 * np.mean(values):.1f} %"
        difference, interval = "", ""
        if values is not first:
            ends = mean_interval(values, first)
            difference = f"{100 * (np.mean(values) - np.mean(first)):+.1f} points"
            interval = f"{100 * ends.low:+.1f} to {100 * ends.high:+.1f}"
        taken = f"{seconds[name] / options.seeds:.0f} s"
        print(f"| {name} | {each} | {cells} | {difference} | {interval} | {taken} |")


def trained(data: ImageData, recipe: RecipeConfig, seed: int, epochs: int) -> float:
    """Train by a recipe, and return the test accuracy of the last epoch."""
    config = TrialConfig(
        backbone="cifar_resnet20",
        weights="scratch",
        widths=None,
        tune="all",
        epochs=epochs,
        batch_size=64,
        optimizer="sgd",
        learning_rate=0.05,
        weight_decay=5e-4,
        seed=seed,
        recipe=recipe,
    )
    training = FineTuning(config, data, device=torch.device("cpu"))
    while not training.finished:
        training.run_epoch()
    return accuracy(training.network.eval(), *data.subset("test"))


if __name__ == "__main__":
    main()
