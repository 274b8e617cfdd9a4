"""Does pre-training let a network be pruned further? Trainings, curves and tests, as a page.

The question of Hubens et al., arXiv 2112.08227: {pre-trained, scratch} x networks x sparsities x
seeds, at an equal budget of steps. Pruned are single convolution weights, by magnitude, each layer
alike, on the one-cycle schedule. Every training is kept in a folder, in a file whose name holds
the budget, so that an interrupted study goes on where it was.

Run: `python benchmarks/pruning_study.py SHARED_DATA FOLDER > docs/studies/pruning.md`
"""

import argparse
import gzip
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter

from orchestrator.analysis.statistics.intervals import mean_interval
from orchestrator.analysis.statistics.paired import paired_t
from trainers.config import TrialConfig
from trainers.data import DataConfig, ImageData, load_data
from trainers.evaluators.accuracy import predict
from trainers.pruning import PruningConfig
from trainers.training.finetune import FineTuning

SPARSITIES = (0.0, 0.8, 0.95)
SEEDS = (0, 1, 2)
STARTS = ("pretrained", "scratch")
TRAIN, TEST, EPOCHS = 1600, 500, 4
BATCH, RATE = 32, 1e-3
DROP, CHANCE = 0.02, 0.1
Values = dict[str, float]
Run = tuple[str, str, float, int]


def _noise(picture: Image.Image) -> Image.Image:
    pixels = np.asarray(picture, np.float64)
    drawn = np.random.default_rng(0).normal(0, 20, pixels.shape)
    return Image.fromarray(np.clip(pixels + drawn, 0, 255).astype(np.uint8))


def _jpeg(picture: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=20)
    return Image.open(stream).convert(picture.mode)


SHIFTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "noise": _noise,
    "blur": lambda picture: picture.filter(ImageFilter.GaussianBlur(1)),
    "contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(0.4),
    "jpeg": _jpeg,
}


def shifted(images: np.ndarray, shift: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    pictures = (Image.fromarray(image.transpose(1, 2, 0).squeeze()) for image in images)
    return np.stack(
        [np.atleast_3d(np.asarray(shift(each))).transpose(2, 0, 1) for each in pictures]
    )


def cifar10(shared: Path) -> ImageData:
    (archive,) = (shared / "cifar10_lossless").glob("*.npz")
    data = load_data(DataConfig(npz=str(archive), seed=0))
    return cut(data)


def fashion_mnist(shared: Path) -> ImageData:
    def read(name: str, header: int) -> np.ndarray:
        content = gzip.decompress((shared / "fashion_mnist" / f"{name}-ubyte.gz").read_bytes())
        return np.frombuffer(content, np.uint8, offset=header)

    train, test = (
        read(f"{part}-images-idx3", 16).reshape(-1, 1, 28, 28) for part in ("train", "t10k")
    )
    labels, test_labels = (
        read(f"{part}-labels-idx1", 8).astype(np.int64) for part in ("train", "t10k")
    )
    data = ImageData(
        name="fashion_mnist",
        classes=tuple(map(str, range(10))),
        train_images=train[:TRAIN],
        train_labels=labels[:TRAIN],
        val_images=train[-100:],
        val_labels=labels[-100:],
        test_images=test,
        test_labels=test_labels,
    )
    return cut(data)


def cut(data: ImageData) -> ImageData:
    return ImageData(
        name=data.name,
        classes=data.classes,
        train_images=data.train_images[:TRAIN],
        train_labels=data.train_labels[:TRAIN],
        val_images=data.val_images[:100],
        val_labels=data.val_labels[:100],
        test_images=data.test_images[:TEST],
        test_labels=data.test_labels[:TEST],
    )


# Its data, the side of its inputs, and its weights: a file of the shared folder, or a word.
NETWORKS: dict[str, tuple[Callable[[Path], ImageData], int, str]] = {
    "cifar_resnet20": (cifar10, 32, "weights_cifar10_resnet/resnet20-12fca82f.th"),
    "mobilenet_v2": (cifar10, 32, "weights_mobilenet_v2/mobilenet_v2_imagenet_torchvision.pth"),
    "digitnet": (fashion_mnist, 28, "bundled"),
}


def measured(config: TrialConfig, data: ImageData) -> Values:
    began = time.perf_counter()
    training = FineTuning(config, data, device=torch.device("cpu"))
    while not training.finished:
        training.run_epoch()
    training.finish()
    network = training.network.eval()
    images, labels = data.subset("test")
    seen = {"none": images} | {name: shifted(images, shift) for name, shift in SHIFTS.items()}
    right = {name: float((predict(network, each) == labels).mean()) for name, each in seen.items()}
    return right | {"seconds": time.perf_counter() - began, "load": os.getloadavg()[0]}


def runs(networks: list[str]) -> Iterator[Run]:
    # Seeds last, so that each part of an interrupted study is whole.
    for network, seed, start, sparsity in product(networks, SEEDS, STARTS, SPARSITIES):
        yield network, start, sparsity, seed


def results(shared: Path, folder: Path, networks: list[str]) -> dict[Run, Values]:
    folder.mkdir(parents=True, exist_ok=True)
    data = {network: NETWORKS[network][0](shared) for network in networks}
    found: dict[Run, Values] = {}
    torch.set_num_threads(1)
    for run in runs(networks):
        network, start, sparsity, seed = run
        budget = f"{EPOCHS}x{TRAIN}-batch{BATCH}-rate{RATE:g}-test{TEST}"
        kept = folder / f"{network}-{start}-{sparsity}-{seed}-{budget}.json"
        if not kept.exists():
            _, side, weights = NETWORKS[network]
            if (shared / weights).exists():
                weights = str(shared / weights)
            config = TrialConfig(
                backbone=network,
                weights=weights if start == "pretrained" else "scratch",
                image_size=side,
                tune="all",
                widths=(),
                epochs=EPOCHS,
                batch_size=BATCH,
                learning_rate=RATE,
                seed=seed,
                pruning=PruningConfig(sparsity=sparsity, schedule="one_cycle"),
            )
            kept.write_text(json.dumps(measured(config, data[network])))
        found[run] = json.loads(kept.read_text())
    return found


def curve(found: dict[Run, Values], network: str, start: str, shift: str = "none") -> np.ndarray:
    """Accuracies: a row a seed, a column a sparsity."""
    return np.array(
        [[found[network, start, s, seed][shift] for s in SPARSITIES] for seed in SEEDS]
    )


def potential(accuracies: np.ndarray) -> float:
    """The largest sparsity up to which accuracy is at most `DROP` below the unpruned one."""
    means = accuracies.mean(axis=0)
    fine = np.minimum.accumulate(means >= means[0] - DROP)
    return float(np.array(SPARSITIES)[fine].max())


def area(accuracies: np.ndarray) -> np.ndarray:
    """The area under accuracy over sparsity, by trapezoids, divided by its width; one a seed."""
    steps = np.diff(SPARSITIES)
    middle = (accuracies[:, 1:] + accuracies[:, :-1]) / 2
    return np.asarray((middle * steps).sum(axis=1) / steps.sum())


def p_value(first: np.ndarray, second: np.ndarray) -> str:
    try:
        p = paired_t(first, second)
    except ValueError:
        return "unknown: all differences are equal"
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def section(found: dict[Run, Values], network: str) -> Iterator[str]:
    curves = {start: curve(found, network, start) for start in STARTS}
    of_network = [values for run, values in found.items() if run[0] == network]
    seconds, load = ([each[name] for each in of_network] for name in ("seconds", "load"))
    yield f"\n## {network} on {NETWORKS[network][0].__name__}\n"
    yield f"{len(of_network)} trainings on one thread, {np.median(seconds):.1f} s each (median,"
    yield f"with measuring), at a load of {min(load):.1f} to {max(load):.1f} on"
    yield f"{os.cpu_count()} CPUs; torch {torch.__version__}.\n"
    yield "Test accuracy, mean over seeds, and its standard deviation:\n"
    yield "| start | " + " | ".join(f"{s:g}" for s in SPARSITIES) + " | area under the curve |"
    yield "|---" * (len(SPARSITIES) + 2) + "|"
    for start, own in curves.items():
        pairs = zip(own.mean(0), own.std(0, ddof=1), strict=True)
        cells = " | ".join(f"{mean:.3f} ± {spread:.3f}" for mean, spread in pairs)
        yield f"| {start} | {cells} | {area(own).mean():.3f} |"
    areas = [area(own) for own in curves.values()]
    yield f"\nAreas under the curves differ by {(areas[0] - areas[1]).mean():+.3f}"
    yield f"(pre-trained minus scratch, p {p_value(*areas)})."
    yield from losses(curves)
    yield from shifts(found, network)


def losses(curves: dict[str, np.ndarray]) -> Iterator[str]:
    yield "\nLost to pruning: unpruned minus pruned accuracy of the same seed. A positive"
    yield "difference means that the pre-trained network loses more:\n"
    yield "| sparsity | pre-trained | scratch | difference, 95 % interval | p, paired t |"
    yield "|--:|--:|--:|---|--:|"
    for column, sparsity in list(enumerate(SPARSITIES))[1:]:
        one, other = (own[:, 0] - own[:, column] for own in curves.values())
        try:
            interval = mean_interval(one, other)
            width = f"{interval.low:+.3f} to {interval.high:+.3f}"
        except ValueError:
            width = "without a spread"
        means = f"{one.mean():.3f} | {other.mean():.3f} | {(one - other).mean():+.3f}"
        yield f"| {sparsity:g} | {means}, {width} | {p_value(one, other)} |"
    yield "\nA network has no more to lose than what it is above chance (0.1). Of that it keeps:\n"
    yield "| start | " + " | ".join(f"{s:g}" for s in SPARSITIES[1:]) + " |"
    yield "|---" + "|--:" * (len(SPARSITIES) - 1) + "|"
    for start, own in curves.items():
        above = own.mean(axis=0) - CHANCE
        yield f"| {start} | " + " | ".join(f"{each:.0%}" for each in above[1:] / above[0]) + " |"


def shifts(found: dict[Run, Values], network: str) -> Iterator[str]:
    yield "\nPrune potential (largest sparsity of the grid up to which accuracy is at most"
    yield f"{DROP:g} lower) and excess error at sparsity {SPARSITIES[-1]:g}, on shifted images:\n"
    yield "| images | potential, pre-trained | scratch | excess error, pre-trained | scratch |"
    yield "|---|--:|--:|--:|--:|"
    for shift in ("none", *SHIFTS):
        cells, extra = [], []
        for start in STARTS:
            plain, own = (curve(found, network, start, each) for each in ("none", shift))
            cells.append(f"{potential(own):g}")
            lost = (own[:, 0] - own[:, -1]) - (plain[:, 0] - plain[:, -1])
            extra.append(f"{lost.mean():+.3f}")
        yield f"| {shift} | " + " | ".join([*cells, *extra]) + " |"


def introduction(networks: list[str]) -> str:
    named = "" if networks == [*NETWORKS] else f" --networks {' '.join(networks)}"
    return f"""# Does pre-training let a network be pruned further?

Made by `python benchmarks/pruning_study.py SHARED_DATA FOLDER{named}`.

The question of Hubens et al., arXiv 2112.08227, whose criterion, granularity and schedule no
source names. Here: single convolution weights, by magnitude, each layer alike, on the one-cycle
schedule of its author's later work.

**Decided before any result was looked at:**

- sparsities {", ".join(f"{s:g}" for s in SPARSITIES)} and seeds {", ".join(map(str, SEEDS))}: few
  sparsities, so that each training is as long as the time allows;
- for both starts {EPOCHS} epochs of {TRAIN} images, which are {EPOCHS * TRAIN // BATCH} steps of
  {BATCH}, with AdamW and a peak rate of {RATE:g} on a cosine; {TEST} test images;
- a drop of at most {DROP:g} for the prune potential;
- one paired t test of the areas under the curves, and one for each sparsity.

Shifts: noise (standard deviation 20 of 255), blur (radius 1), contrast (0.4), JPEG (quality 20).
Excess error, as in *Lost in Pruning* (Liebenwein et al., MLSys 2021): what pruning costs on
shifted images beyond what it costs on others.

**Limits.** With {TEST} test images the standard error of an accuracy is near 0.02, and the same
images measure every network, so that seeds vary the training only. Three seeds give a paired test
two degrees of freedom. p-values are not corrected for their number. The budget is short: networks
from scratch are far from their best, and accuracies are not matched. The weights of cifar_resnet20
were trained on CIFAR-10 itself and those of digitnet on Fashion-MNIST, so that this start is the
best there can be and not a transfer."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="the folder of shared data")
    parser.add_argument("folder", type=Path, help="where finished trainings are kept")
    parser.add_argument("--networks", nargs="+", choices=sorted(NETWORKS), default=[*NETWORKS])
    given = parser.parse_args()
    found = results(given.shared, given.folder, given.networks)
    print(introduction(given.networks))
    for network in given.networks:
        print("\n".join(section(found, network)))


if __name__ == "__main__":
    main()
