"""How few bits keep the accuracy, by levels and rounding, and what does a peer keep?

A trained network is quantized, per channel or in other scopes, and not trained any further. Codes
are chosen with a look at training images, drawn by each of the seeds; the test images say how many
are right after that. The interval is Wilson's, of 95 %; bytes are those of the packed file,
which has the same size for the peer's codes and levels. Seconds are of one core. ``--peer`` also
prints what Brevitas makes of the same network and images (`low_bit_peer`), below each of our rows.

Run: ``python benchmarks/bench_low_bit.py --weights resnet20.th --images cifar10.npz``, the
checkpoint with its classifier, and ``x_train``, ``y_train``, ``x_test``, ``y_test`` in the npz; or
``--backbone mobilenet_v2 --weights mobilenet_v2.pth --images pictures.npz``, whose classifier is
the last layer of the file, and whose labels are its outputs.
"""

import argparse
import math
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from itertools import product
from pathlib import Path

import low_bit_peer
import torch
from low_bit_networks import loaded
from options import parsed

from trainers.artifact import load_artifact, predict_bytes, write_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.data.splits import stratified_choice
from trainers.determinism import derive_seed
from trainers.evaluators.accuracy import accuracy
from trainers.networks.inputs import to_unit
from trainers.networks.network import Network
from trainers.quantization.calibration import ROUNDINGS, CalibrationConfig
from trainers.quantization.config import FLOAT_BITS, lists_levels
from trainers.trial.calibrated import calibrated

# Quantizer and step.
LEVELS = {
    "symmetric": ("symmetric", "absmax"),
    "symmetric_mse": ("symmetric", "mse"),
    "affine_mse": ("affine", "mse"),
    "symmetric_lp": ("symmetric", "lp"),
    "affine_lp": ("affine", "lp"),
    "symmetric_kl": ("symmetric", "kl"),
    "affine_kl": ("affine", "kl"),
    "kmeans": ("kmeans", "absmax"),
}
BATCH = 64


def main() -> None:
    options = asked()
    torch.set_num_threads(1)
    network, data = loaded(options.backbone, options.weights, options.images)
    network.requires_grad_(requires_grad=False)
    images, labels = data.subset("test")
    print(f"{options.backbone}, {len(images):,} images, {accuracy(network, images, labels):.1%}")
    print("| bits | levels | rounding | seed | by | bytes | accuracy (95 %) | seconds |")
    print("|--:|---|---|--:|---|--:|--:|--:|")
    for bits in options.bits:
        for levels in options.levels:
            for scope, codebook_bits in product(options.scopes, options.codebook_bits):
                # Evenly spaced levels have no codebook.
                if codebook_bits == FLOAT_BITS or lists_levels(LEVELS[levels][0]):
                    config = config_of(options.backbone, bits, levels, scope, codebook_bits)
                    rows(network, data, options, config, levels)


def asked() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="cifar_resnet20")
    parser.add_argument("--weights", type=Path, help="without it: random weights and images")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6, 4, 3, 2])
    parser.add_argument("--levels", nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--roundings", nargs="+", default=list(ROUNDINGS), choices=ROUNDINGS)
    parser.add_argument("--scopes", nargs="+", default=["channel"])
    parser.add_argument("--codebook-bits", type=int, nargs="+", default=[32], choices=[32, 8])
    parser.add_argument("--calibration", type=int, default=256, help="training images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of these images")
    parser.add_argument("--equalize", action="store_true", help="try even ranges too")
    parser.add_argument("--norms", action="store_true", help="move batch norms too")
    parser.add_argument("--merge-norms", action="store_true", help="store norms as two vectors")
    parser.add_argument("--peer", action="store_true", help="Brevitas too, which is not installed")
    quick = {"bits": [3], "levels": ["affine_mse"], "calibration": 8}
    return parsed(parser, roundings=["nearest", "gptq"], **quick)


def config_of(
    backbone: str, bits: int, levels: str, scope: str, codebook_bits: int
) -> TrialConfig:
    """Return the config of a trial with these levels."""
    quantizer, step = LEVELS[levels]
    return TrialConfig(
        backbone=backbone,
        weights="scratch",
        bits=bits,
        fc_bits=bits,
        quantizer=quantizer,
        step=step,
        scope=scope,
        codebook_bits=codebook_bits,
    )


def rows(
    network: Network,
    data: ImageData,
    options: argparse.Namespace,
    config: TrialConfig,
    levels: str,
) -> None:
    """Print our rows with these levels, and the peer's."""
    for rounding in options.roundings:
        # Nothing is drawn for the nearest codes.
        drawn = rounding != "nearest" or options.norms or options.equalize
        for seed in options.seeds if drawn else options.seeds[:1]:
            calibration = CalibrationConfig(
                images=options.calibration,
                seed=seed,
                batch_norm=options.norms,
                equalize=options.equalize,
            )
            given = replace(config, rounding=rounding, calibration=calibration)
            ours(network, given, data, merge_norms=options.merge_norms)
            if (
                options.peer
                and config.scope == "channel"
                and levels in low_bit_peer.LEVELS
                and rounding in low_bit_peer.ROUNDINGS
            ):
                peers(network, given, data, levels)


def ours(network: Network, config: TrialConfig, data: ImageData, *, merge_norms: bool) -> None:
    """Pack, read back, and print one row."""
    began = time.process_time()
    weights, moved = None, ", norms moved" if config.calibration.batch_norm else ""
    if config.is_calibrated:
        cpu = torch.device("cpu")
        found = calibrated(network, config, data, device=cpu, stages=None)
        network, weights = found.network, found.weights
        moved += ", evened" if found.values.get("equalized") else ""
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
    row(packed, config, data, by=f"paretune{moved}", size=info.bytes, seconds=seconds)


def peers(network: Network, config: TrialConfig, data: ImageData, levels: str) -> None:
    """Let the peer round the weights, and print one row."""
    # Our calibration draws as many images again for its judgement; these are the first half.
    seed = derive_seed(config.calibration.seed, "calibration")
    pixels, labels = data.subset("train")
    count = min(2 * config.calibration.images, len(labels))
    chosen = stratified_choice(labels, count, seed)[::2]
    batches = list(torch.split(to_unit(torch.tensor(pixels[chosen])), BATCH))
    began = time.process_time()
    found = low_bit_peer.rounded(
        network, batches, bits=config.bits, levels=levels, rounding=config.rounding
    )
    seconds = time.process_time() - began
    size = predict_bytes(network.spec, config.quantization, None)
    row(found, config, data, by=f"Brevitas {version('brevitas')}", size=size, seconds=seconds)


def row(
    network: torch.nn.Module,
    config: TrialConfig,
    data: ImageData,
    *,
    by: str,
    size: int,
    seconds: float,
) -> None:
    """Ask a network about the test images, and print what is known of it."""
    images, labels = data.subset("test")
    right = accuracy(network, images, labels)
    low, high = interval(right, len(labels))
    levels = config.quantizer if config.step == "absmax" else f"{config.quantizer}, {config.step}"
    levels += "" if config.scope == "channel" else f", `{config.scope}`"
    levels += "" if config.codebook_bits == FLOAT_BITS else f", {config.codebook_bits}-bit levels"
    print(
        f"| {config.bits} | {levels} | `{config.rounding}` | {config.calibration.seed} | {by} "
        f"| {size:,} | {right:.1%} ({low:.1%} to {high:.1%}) | {seconds:.1f} |",
        flush=True,
    )


def interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's interval of 95 %."""
    z = 1.96
    center = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (center - half) / (1 + z * z / count), (center + half) / (1 + z * z / count)


if __name__ == "__main__":
    main()
