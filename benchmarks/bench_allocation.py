"""Does it pay to give each layer its own bits, at the same mean number of bits?

A trained network is quantized, per channel and not trained any further: once with as many bits
everywhere, once as the layers' sensitivities say, with as many on average. The sensitivities are
measured in one pass over a few training images; the test images judge, both networks on the same
ones, with McNemar's exact test. Seconds are of one core.

Run: ``python benchmarks/bench_allocation.py --weights resnet20.th --images cifar10.npz``, as for
bench_low_bit.py; or ``--backbone mobilenet_v2 --weights mobilenet_v2.pth --images pictures.npz``,
whose classifier is the last layer of the file, and whose labels are its outputs.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bench_low_bit import LEVELS
from low_bit_networks import loaded
from options import parsed
from scipy.stats import binomtest

from trainers.artifact import load_artifact, write_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.evaluators.accuracy import predict
from trainers.networks.network import Network
from trainers.quantization.allocation import AllocationConfig
from trainers.quantization.calibration import ROUNDINGS, CalibrationConfig
from trainers.trial.allocated import Allocations, sensitivities
from trainers.trial.calibrated import calibrated

CPU = torch.device("cpu")


def asked() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="cifar_resnet20")
    parser.add_argument("--weights", type=Path, help="without it: random weights and images")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--bits", type=int, nargs="+", default=[3])
    parser.add_argument("--levels", default="affine_mse", choices=LEVELS)
    parser.add_argument("--roundings", nargs="+", default=["nearest", "gptq"], choices=ROUNDINGS)
    parser.add_argument("--sample", type=int, default=64, help="images of the sensitivities")
    parser.add_argument("--calibration", type=int, default=128, help="images of the roundings")
    parser.add_argument("--norms", action="store_true", help="move batch norms too")
    parser.add_argument("--seed", type=int, default=0, help="of these images")
    return parsed(parser, roundings=["nearest"], sample=4, calibration=4)


def main() -> None:
    options = asked()
    torch.set_num_threads(1)
    network, data = loaded(options.backbone, options.weights, options.images)
    network.requires_grad_(requires_grad=False)
    labels = data.subset("test")[1]
    right = predict(network, data.subset("test")[0], device=CPU) == labels
    print(f"{options.backbone}, {len(labels):,} images, {right.mean():.1%} in floating point")
    quantizer, step = LEVELS[options.levels]
    config = TrialConfig(
        backbone=options.backbone,
        weights="scratch",
        quantizer=quantizer,
        step=step,
        calibration=CalibrationConfig(
            images=options.calibration, seed=options.seed, batch_norm=options.norms
        ),
    )
    began = time.process_time()
    layers = sensitivities(
        network,
        config.quantization,
        data,
        images=options.sample,
        seed=options.seed,
        device=CPU,
    )
    print(f"sensitivities of {len(layers)} layers: {time.process_time() - began:.0f} seconds")
    every = Allocations(network.spec, config.quantization, None, layers)
    print("| bits | rounding | bytes, uniform | allocated | accuracy, uniform | allocated | p |")
    print("|--:|---|--:|--:|--:|--:|--:|")
    for bits in options.bits:
        chosen = every.within(AllocationConfig(bits=bits))
        of_layers = [*chosen.layer_bits.values(), chosen.fc_bits]
        for rounding in options.roundings:
            uniform = replace(config, bits=bits, fc_bits=bits, rounding=rounding)
            mixed = replace(uniform, layer_bits=chosen.layer_bits, fc_bits=chosen.fc_bits)
            row(network, uniform, mixed, data)
        print(f"<!-- bits by layer: {' '.join(map(str, of_layers))} -->")


def row(network: Network, uniform: TrialConfig, mixed: TrialConfig, data: ImageData) -> None:
    """Pack both networks, read them back, and print one row."""
    found = [answers(network, config, data) for config in (uniform, mixed)]
    (few, first), (many, second) = found
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differ = only_first + only_second
    p = binomtest(only_second, differ).pvalue if differ else 1.0
    print(
        f"| {uniform.bits} | `{uniform.rounding}` | {few:,} | {many:,} | {first.mean():.1%} "
        f"| {second.mean():.1%} | {p:.2g} |",
        flush=True,
    )


def answers(network: Network, config: TrialConfig, data: ImageData) -> tuple[int, np.ndarray]:
    """The bytes of the packed network, and which test images it gets right: bool (N,)."""
    weights = None
    if config.is_calibrated:
        found = calibrated(network, config, data, device=CPU, stages=None)
        network, weights = found.network, found.weights
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        info = write_artifact(
            network, path, quantization=config.quantization, classes=None, rounded=weights
        )
        packed = load_artifact(path)
    images, labels = data.subset("test")
    return info.bytes, predict(packed, images, device=CPU) == labels


if __name__ == "__main__":
    main()
