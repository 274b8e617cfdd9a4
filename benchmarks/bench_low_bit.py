"""How few bits keep the accuracy, by levels and rounding?

A trained CIFAR ResNet is quantized, per channel and not trained any further. Codes are chosen with
a look at training images; the test images say how many are right after that. The interval is
Wilson's, of 95 %; bytes are those of the packed file. About half a minute a row on one core.

Run: ``python benchmarks/bench_low_bit.py --weights resnet20.th --images cifar10.npz``, the
checkpoint with its classifier, and ``x_train``, ``y_train``, ``x_test``, ``y_test`` in the npz.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from kmeans_table import with_its_head
from options import parsed

from trainers.artifact import load_artifact, write_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.evaluators.accuracy import Images, Labels, accuracy
from trainers.networks.network import Network, build_network
from trainers.quantization.calibration import ROUNDINGS, CalibrationConfig
from trainers.trial.calibrated import calibrated

# Quantizer and step.
LEVELS = {
    "symmetric": ("symmetric", "absmax"),
    "symmetric_mse": ("symmetric", "mse"),
    "affine_mse": ("affine", "mse"),
    "kmeans": ("kmeans", "absmax"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="cifar_resnet20")
    parser.add_argument("--weights", type=Path, help="without it: random weights and images")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6, 4, 3, 2])
    parser.add_argument("--levels", nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--roundings", nargs="+", default=list(ROUNDINGS), choices=ROUNDINGS)
    parser.add_argument("--calibration", type=int, default=256, help="training images")
    parser.add_argument("--seed", type=int, default=0, help="of the calibration images")
    parser.add_argument("--norms", action="store_true", help="move batch norms too")
    parser.add_argument("--merge-norms", action="store_true", help="store norms as two vectors")
    quick = {"bits": [3], "levels": ["affine_mse"], "calibration": 8}
    options = parsed(parser, roundings=["nearest", "gptq"], **quick)
    torch.set_num_threads(1)
    if options.weights and options.images:
        network, data = with_its_head(options.backbone, options.weights), read(options.images)
    else:
        network = build_network(options.backbone, weights="scratch", widths=[], classes=10).eval()
        data = random_images()
    network.requires_grad_(requires_grad=False)
    images, labels = data.subset("test")
    print(f"{options.backbone}, {len(images):,} images, {accuracy(network, images, labels):.1%}")
    print("| bits | levels | rounding | batch norms | bytes | accuracy (95 %) | seconds |")
    print("|--:|---|---|---|--:|--:|--:|")
    for bits in options.bits:
        for quantizer, step in (LEVELS[levels] for levels in options.levels):
            for rounding in options.roundings:
                config = TrialConfig(
                    backbone=options.backbone,
                    weights="scratch",
                    bits=bits,
                    fc_bits=bits,
                    quantizer=quantizer,
                    step=step,
                    rounding=rounding,
                    calibration=CalibrationConfig(
                        images=options.calibration, seed=options.seed, batch_norm=options.norms
                    ),
                )
                row(network, config, data, merge_norms=options.merge_norms)


def row(network: Network, config: TrialConfig, data: ImageData, *, merge_norms: bool) -> None:
    """Pack, read back, and print one row."""
    began = time.process_time()
    weights = None
    if config.is_calibrated:
        cpu = torch.device("cpu")
        found = calibrated(network, config, data, device=cpu, stages=None)
        network, weights = found.network, found.weights
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        info = write_artifact(
            network,
            path,
            quantization=config.quantization,
            classes=None,
            rounded=weights,
            merge_norms=merge_norms,
        )
        seconds = time.process_time() - began
        packed = load_artifact(path)
    images, labels = data.subset("test")
    right = accuracy(packed, images, labels)
    low, high = interval(right, len(labels))
    levels = config.quantizer if config.step == "absmax" else f"{config.quantizer}, {config.step}"
    moved = "moved" if config.calibration.batch_norm else "kept"
    print(
        f"| {config.bits} | {levels} | `{config.rounding}` | {moved} | {info.bytes:,} "
        f"| {right:.1%} ({low:.1%} to {high:.1%}) | {seconds:.1f} |",
        flush=True,
    )


def interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's interval of 95 %."""
    z = 1.96
    center = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (center - half) / (1 + z * z / count), (center + half) / (1 + z * z / count)


def read(path: Path) -> ImageData:
    """The images of an npz, which need no validation here."""
    found = []
    with np.load(path, allow_pickle=False) as file:
        for subset in ("train", "test"):
            images = file[f"x_{subset}"]
            if images.shape[-1] == 3:
                images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
            found.append((images, file[f"y_{subset}"].astype(np.int64).reshape(-1)))
    return image_data(*found)


def random_images() -> ImageData:
    """Noise: enough to see that everything runs."""
    draws = np.random.default_rng(0)
    noise = draws.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
    labels = draws.integers(0, 10, 20)
    return image_data((noise, labels), (noise, labels))


def image_data(train: tuple[Images, Labels], test: tuple[Images, Labels]) -> ImageData:
    nothing = (train[0][:0], train[1][:0])
    classes = tuple(str(label) for label in range(10))
    return ImageData("images", classes, *train, *nothing, *test)


if __name__ == "__main__":
    main()
