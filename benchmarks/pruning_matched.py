"""Does pre-training help pruning at matched accuracy too, and under shifts? As a page.

As `pruning_study.py`, on networks whose pre-trained weights come from other images, in two ways:

- *equal budget*: pruned during the one training, from the pre-trained or from random weights;
- *matched accuracy*: first a network is trained from scratch without pruning, then the pre-trained
  one for as few epochs as give it the same validation accuracy; both are then pruned during
  further epochs, the same for both.

Each training is kept in a folder, so that an interrupted study goes on where it was.

Run: `python benchmarks/pruning_matched.py SHARED_DATA FOLDER`, with `--ways equal` for the first,
and with `--quick`, and another folder, to see that all of it runs.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from pruning_matched_settings import (
    BATCH,
    NETWORKS,
    QUICK,
    RATE,
    SEVERITIES,
    SHIFTS,
    STARTS,
    STUDY,
    Settings,
)
from pruning_matched_text import page
from pruning_study import cifar10, fashion_mnist
from safetensors.torch import load_file, save_file

from trainers.config import TrialConfig
from trainers.data import DataConfig, ImageData, load_data
from trainers.evaluators.accuracy import predict
from trainers.evaluators.corruptions import corrupted
from trainers.pruning import PruningConfig
from trainers.training.finetune import FineTuning

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Subject:
    """A network of the study.

    Attributes:
        backbone: Its name, without its width.
        width: Multiplier of its channels.
        data: The images that it is trained on.
    """

    backbone: str
    width: float
    data: ImageData

    def config(self, *, seed: int, epochs: int, sparsity: float = 0.0) -> TrialConfig:
        """Return the configuration of a training."""
        return TrialConfig(
            backbone=self.backbone,
            width_multiplier=self.width,
            weights="scratch",
            image_size=32,
            tune="all",
            widths=(),
            epochs=epochs,
            batch_size=BATCH,
            learning_rate=RATE,
            seed=seed,
            pruning=PruningConfig(sparsity=sparsity, schedule="one_cycle"),
        )


def subjects(shared: Path, settings: Settings) -> dict[str, Subject]:
    target, other = cifar10(shared), fashion_mnist(shared)
    (archive,) = (shared / "cifar10_lossless").glob("*.npz")
    more = load_data(DataConfig(npz=str(archive), seed=0))
    matching = settings.matching_images
    of_mobilenet = settings.cut(with_validation(target, more, matching))
    of_vgg = settings.cut(with_validation(other, other, matching))
    return {
        "mobilenet_v2": Subject("mobilenet_v2", 1.0, of_mobilenet),
        "vgg11_bn": Subject("vgg11_bn", 0.25, of_vgg),
    }


def with_validation(data: ImageData, more: ImageData, count: int) -> ImageData:
    """Give more validation images, by which accuracies are matched."""
    if more is data:
        # The last of the training images are the validation's, and 100 do not tell 2 points.
        images, labels = data.train_images, data.train_labels
        return replace(
            data,
            train_images=images[:-count],
            train_labels=labels[:-count],
            val_images=images[-count:],
            val_labels=labels[-count:],
        )
    return replace(
        data,
        train_images=data.train_images[:-count],
        train_labels=data.train_labels[:-count],
        val_images=more.val_images[:count],
        val_labels=more.val_labels[:count],
    )


class Study:
    """Trains what is not in its folder yet."""

    def __init__(self, shared: Path, folder: Path, settings: Settings) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.shared, self.folder, self.settings = shared, folder, settings
        self.subjects = subjects(shared, settings)

    def kernels(self, name: str) -> Tensors:
        """Return the pre-trained weights of a backbone: from ImageNet, or made here from CIFAR."""
        if name == "mobilenet_v2":
            file = "weights_mobilenet_v2/mobilenet_v2_imagenet_torchvision.pth"
            found = torch.load(self.shared / file, weights_only=True)
            return {k: v for k, v in found.items() if k.startswith("features.")}
        kept = self.folder / f"{name}.safetensors"
        if not kept.exists():
            (archive,) = (self.shared / "cifar10_lossless").glob("*.npz")
            source = self.settings.cut(load_data(DataConfig(npz=str(archive), seed=0)))
            plain = self.subjects[name].config(seed=100, epochs=self.settings.source_epochs)
            config = replace(plain, batch_size=64)
            training = trained(config, source)
            right = accuracy(training, source.val_images, source.val_labels)
            # Standard output is the page.
            print(f"pre-trained {name}: {right:.3f} on {source.name}", file=sys.stderr)
            save(training.network.features.state_dict(), kept)
        return load_file(kept)

    def dense(self, name: str, start: str, seed: int) -> tuple[Tensors, dict[str, float]]:
        """Return an unpruned network of matched accuracy, and what it took."""
        kept = self.folder / f"{name}-{start}-dense-{seed}.safetensors"
        facts = kept.with_suffix(".json")
        if not facts.exists():
            subject = self.subjects[name]
            if start == "scratch":
                epochs = self.settings.dense_epochs
                config = subject.config(seed=seed, epochs=epochs)
                training, steps = trained(config, subject.data), epochs * steps_of(subject)
            else:
                goal = self.dense(name, "scratch", seed)[1]["val"]
                training, steps = self.until(name, seed, goal)
            val, test = (
                accuracy(training, *subject.data.subset(part)) for part in ("val", "test")
            )
            save(training.network.state_dict(), kept)
            facts.write_text(json.dumps({"val": val, "test": test, "steps": steps}))
        return load_file(kept), json.loads(facts.read_text())

    def until(self, name: str, seed: int, goal: float) -> tuple[FineTuning, int]:
        """Train pre-trained kernels for more and more epochs, until they are as accurate."""
        subject = self.subjects[name]
        for epochs in self.settings.matching_epochs:
            config = subject.config(seed=seed, epochs=epochs)
            training = FineTuning(config, subject.data, device=torch.device("cpu"))
            training.network.features.load_state_dict(self.kernels(name))
            while not training.finished:
                training.run_epoch()
            if training.reports[-1].float_accuracy >= goal:
                break
        return training, epochs * steps_of(subject)

    def run(self, way: str, name: str, start: str, sparsity: float, seed: int) -> dict[str, float]:
        """Return what one pruned training came to."""
        kept = self.folder / f"{name}-{way}-{start}-{sparsity}-{seed}.json"
        if not kept.exists():
            subject, began = self.subjects[name], time.process_time()
            epochs = {
                "equal": self.settings.epochs,
                "matched": self.settings.pruning_epochs,
            }[way]
            config = subject.config(seed=seed, epochs=epochs, sparsity=sparsity)
            training = FineTuning(config, subject.data, device=torch.device("cpu"))
            if way == "matched":
                training.network.load_state_dict(self.dense(name, start, seed)[0])
            elif start == "pretrained":
                training.network.features.load_state_dict(self.kernels(name))
            while not training.finished:
                training.run_epoch()
            training.finish()
            found = measured(training, subject.data, self.settings.shifted_images)
            kept.write_text(json.dumps(found | {"seconds": time.process_time() - began}))
        return dict(json.loads(kept.read_text()))


def trained(config: TrialConfig, data: ImageData) -> FineTuning:
    training = FineTuning(config, data, device=torch.device("cpu"))
    while not training.finished:
        training.run_epoch()
    return training


def accuracy(training: FineTuning, images: np.ndarray, labels: np.ndarray) -> float:
    return float((predict(training.network.eval(), images) == labels).mean())


def measured(training: FineTuning, data: ImageData, shifted: int) -> dict[str, float]:
    images, labels = data.subset("test")
    found = {"none": accuracy(training, images, labels)}
    some, own = images[:shifted], labels[:shifted]
    found["some"] = accuracy(training, some, own)
    for shift, severity in product(SHIFTS, SEVERITIES):
        changed = corrupted(some, shift, severity, seed=0)
        found[f"{shift}-{severity}"] = accuracy(training, changed, own)
    return found


def save(tensors: Tensors, to: Path) -> None:
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, to)


def steps_of(subject: Subject) -> int:
    return -(-len(subject.data.train_labels) // BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="the folder of shared data")
    parser.add_argument("folder", type=Path, help="where finished trainings are kept")
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS])
    ways = [*STUDY.sparsities]
    parser.add_argument("--ways", nargs="+", choices=ways, default=ways)
    parser.add_argument("--quick", action="store_true", help="a short run that is no result")
    given = parser.parse_args()
    settings = QUICK if given.quick else STUDY
    torch.set_num_threads(1)
    study, found = Study(given.shared, given.folder, settings), {}
    # Seeds last, so that each part of an interrupted study is whole.
    for name in given.networks:
        for way, seed in product(given.ways, settings.seeds):
            for start, sparsity in product(STARTS, settings.sparsities[way]):
                run = (way, name, start, sparsity, seed)
                found[run] = study.run(*run)
    dense = {
        (name, start, seed): study.dense(name, start, seed)[1]
        for name, start, seed in product(given.networks, STARTS, settings.seeds)
        if "matched" in given.ways
    }
    print(page(found, dense, settings, os.cpu_count() or 1))


if __name__ == "__main__":
    main()
