"""Which pre-trained kernels are worth reusing, with how few images? Judgements, trainings, tests.

The question of Wang et al., arXiv 2008.03411: networks x targets x images a class. Each cell is
judged with `analyze_reuse`, which is what the command calls; then networks are trained that follow
the verdict, reuse everything, or reuse nothing, and are measured on test images, which judged
nothing. Everything is kept in a folder, so that an interrupted study goes on where it was.

Run: `python benchmarks/reuse_study.py SHARED_DATA FOLDER > docs/studies/reuse.md`
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from reuse_study_data import TARGETS, TEST, VAL
from reuse_study_text import INTRODUCTION, Row, cell_tables, fates, mode_table

from orchestrator.analysis.reuse_analysis import ReuseReport, analyze_reuse
from trainers.data import ImageData
from trainers.networks.network import assemble_network
from trainers.networks.reuse import frozen_modules, reused_backbone
from trainers.networks.reuse_config import ReuseConfig
from trainers.reuse.arms import Budget, Trained, few_per_class, train
from trainers.stages.cache import StageCache

SEEDS = (0, 1, 2)
BUDGET = Budget(epochs=10, batch_size=16, learning_rate=0.01)
MODES = ("replace", "tune")
RESNETS = {
    "cifar_resnet20": "resnet20-12fca82f.th",
    "cifar_resnet32": "resnet32-d509ac18.th",
    "cifar_resnet44": "resnet44-014dd654.th",
    "cifar_resnet56": "resnet56-4bfd9763.th",
}
# The side of its inputs, and its weights: a file of the shared folder, or a word.
NETWORKS = {
    **{name: (16, f"weights_cifar10_resnet/{file}") for name, file in RESNETS.items()},
    "mobilenet_v2": (32, "weights_mobilenet_v2/mobilenet_v2_imagenet_torchvision.pth"),
    "squeezenet1_0": (48, "weights_squeezenet1_0/squeezenet1_0_imagenet_torchvision.pth"),
    "digitnet": (28, "bundled"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A network, the data it is to be used for, images of each class, and the learning rate."""

    backbone: str
    target: str
    count: int
    rate: float = BUDGET.learning_rate

    def __str__(self) -> str:
        return f"{self.backbone}-{self.target}-{self.count}"


# Judged layer by layer.
JUDGED = (
    Cell("cifar_resnet20", "fashion_mnist", 10),
    Cell("cifar_resnet20", "fashion_mnist", 3),
    Cell("cifar_resnet20", "imagenette", 10),
    Cell("cifar_resnet32", "fashion_mnist", 10),
    Cell("cifar_resnet44", "fashion_mnist", 10),
    Cell("cifar_resnet56", "fashion_mnist", 10),
    # Near chance at the rate of the others.
    Cell("mobilenet_v2", "fashion_mnist", 10, rate=0.001),
    Cell("squeezenet1_0", "cifar10", 10, rate=0.001),
)
# Trained with all kernels reused and with none, and not judged.
TRAINED = (
    Cell("cifar_resnet20", "fashion_mnist", 30),
    Cell("cifar_resnet20", "cifar10", 10),
    Cell("mobilenet_v2", "fashion_mnist", 10),
    Cell("squeezenet1_0", "cifar10", 10),
)
MODE_CELLS = JUDGED[:2]


class Study:
    """Judges and trains, or reads what was judged and trained before."""

    def __init__(self, shared: Path, folder: Path) -> None:
        self._shared, self._folder = shared, folder
        self._cache = StageCache(str(folder / "cache"), 20e9)
        self._data: dict[str, ImageData] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def judged(self, cell: Cell, modes: Sequence[str] = MODES[:1]) -> ReuseReport:
        """Judge a cell; finished parts come from the cache."""
        print(f"{cell}: {', '.join(modes)}", file=sys.stderr, flush=True)
        return analyze_reuse(
            cell.backbone,
            self._weights(cell),
            "finetuned",
            self._images(cell),
            budget=self._budget(cell),
            seeds=len(SEEDS),
            per_class=cell.count,
            modes=tuple(modes),
            cache=self._cache,
        )

    def accuracies(self, cell: Cell, reuse: ReuseConfig) -> np.ndarray:
        """Train a network under a policy with each seed; return its accuracies on test images."""
        facts = json.dumps([cell.count, reuse.as_mapping(), BUDGET.epochs, *rate_of(cell)])
        digest = int(hashlib.sha256(facts.encode()).hexdigest()[:12], 16)
        kept = self._folder / f"{cell}-{digest:x}.json"
        if not kept.exists():
            print(f"{cell}: {reuse.policy}", file=sys.stderr, flush=True)
            found = [self._trained(cell, reuse, seed) for seed in SEEDS]
            kept.write_text(json.dumps(found))
        return np.array(json.loads(kept.read_text()))

    def _trained(self, cell: Cell, reuse: ReuseConfig, seed: int) -> float:
        few = few_per_class(self._images(cell), cell.count, seed=0)
        data = replace(few, val_images=few.test_images, val_labels=few.test_labels)
        # Other seeds than those that judged.
        drawn, budget = 1000 + seed, self._budget(cell)
        parts = reused_backbone(
            reuse,
            cell.backbone,
            self._weights(cell),
            seed=drawn,
            image_size=budget.image_size,
        )
        network = assemble_network(parts, (), len(data.classes), seed=drawn)
        frozen = frozen_modules(network.features, reuse)
        return train(network, data, Trained.ALL, budget=budget, seed=drawn, frozen=frozen)

    def _images(self, cell: Cell) -> ImageData:
        if cell.target not in self._data:
            self._data[cell.target] = TARGETS[cell.target](self._shared)
        return self._data[cell.target]

    def _weights(self, cell: Cell) -> str:
        given = NETWORKS[cell.backbone][1]
        return str(self._shared / given) if "/" in given else given

    def _budget(self, cell: Cell) -> Budget:
        side, _ = NETWORKS[cell.backbone]
        return replace(BUDGET, image_size=side, learning_rate=cell.rate)


def rate_of(cell: Cell) -> tuple[float, ...]:
    """Return the learning rate of a cell, where it is not everyone's."""
    return () if cell.rate == BUDGET.learning_rate else (cell.rate,)


def policies(report: ReuseReport, modes: Sequence[str]) -> dict[str, ReuseConfig]:
    """Return what is trained after a judgement."""
    found = {mode: ReuseConfig("judged", fates(report, mode)) for mode in modes}
    return {"all": ReuseConfig("all"), **found, "none": ReuseConfig("none")}


def pages(study: Study, judged: Sequence[Cell], trained: Sequence[Cell]) -> Iterator[str]:
    """Judge and train everything; the page, line by line."""
    yield INTRODUCTION.format(
        epochs=BUDGET.epochs,
        batch=BUDGET.batch_size,
        rate=BUDGET.learning_rate,
        seeds=len(SEEDS),
        val=VAL,
        test=TEST,
        torch=torch.__version__,
    )
    rows: list[Row] = []
    for cell in judged:
        report = study.judged(cell)
        chosen = policies(report, MODES[:1])
        rows.append((cell, report, {n: study.accuracies(cell, p) for n, p in chosen.items()}))
    for cell in trained:
        both = {name: study.accuracies(cell, ReuseConfig(name)) for name in ("all", "none")}
        rows.append((cell, None, both))
    yield from cell_tables(rows)
    for cell in (each for each in MODE_CELLS if each in judged):
        report = study.judged(cell, MODES)
        followed = {n: study.accuracies(cell, p) for n, p in policies(report, MODES).items()}
        yield from mode_table(str(cell), {m: fates(report, m) for m in MODES}, followed, report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="the folder of shared data")
    parser.add_argument("folder", type=Path, help="where finished trainings are kept")
    parser.add_argument(
        "--judged", type=int, default=len(JUDGED), help="judge the first so many cells only"
    )
    parser.add_argument(
        "--trained", type=int, default=len(TRAINED), help="train the first so many cells only"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    begun = given.folder.exists() and any(given.folder.iterdir())
    study = Study(given.shared, given.folder)
    for line in pages(study, JUDGED[: given.judged], TRAINED[: given.trained]):
        print(line, flush=True)
    without = ", without what the folder already had" if begun else ""
    print(f"\nAll of this took {time.process_time() / 60:.0f} minutes of one CPU{without}.")


if __name__ == "__main__":
    main()
