"""How much do exact levels gain over Lloyd's algorithm, in squared error and in accuracy?

A trained CIFAR ResNet is quantized by `kmeans`, not trained any further, and asked about images.
*Lloyd* starts halfway between evenly spaced levels and quantiles; *used* is what `kmeans` does:
exact for groups of up to so many levels times weights, and Lloyd's algorithm from a better start
beyond; *exact* is exact whatever the size. Errors are squared ones over the squares of the
weights. Less error is not always more accuracy.

Run: ``python benchmarks/kmeans_table.py --weights resnet20.th --images cifar10.npz``, the
checkpoint with its classifier, and ``x_test``, ``y_test`` in the npz.
"""

import argparse
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trainers.evaluators.accuracy import Images, Labels, accuracy
from trainers.networks.network import Network, build_network
from trainers.quantization import QuantizationConfig, codebook
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import dequantize, lowest_code
from trainers.quantization.uniform import affine_levels

# Of no group with more weights than levels, and of all.
LIMITS = {"Lloyd": 0, "used": codebook.EXACT_UP_TO, "exact": 1 << 60}
DENSE = codebook._by_density  # noqa: SLF001 - the peer starts elsewhere


@dataclass(frozen=True, slots=True)
class Found:
    """What one way to find levels comes to."""

    errors: Mapping[str, float]
    power: float
    accuracy: float
    seconds: float

    @property
    def error(self) -> float:
        """Of the whole network."""
        return sum(self.errors.values()) / self.power


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="cifar_resnet20")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 3, 4])
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = with_its_head(options.backbone, options.weights)
    with np.load(options.images, allow_pickle=False) as file:
        images, labels = file["x_test"], file["y_test"].astype(np.int64).reshape(-1)
    if images.shape[-1] == 3:
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    print(f"{options.backbone}, {len(images):,} images, {accuracy(network, images, labels):.1%}")
    print(
        "| bits | scope | error: Lloyd | used | exact | worst layer of Lloyd | of used "
        "| accuracy: Lloyd | used | exact | seconds: Lloyd | used |"
    )
    print("|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for bits, scope in itertools.product(options.bits, ("channel", "layer")):
        row(network, QuantizationConfig(bits, bits, "kmeans", scope), images, labels)


def row(network: Network, config: QuantizationConfig, images: Images, labels: Labels) -> None:
    """Print one row."""
    found = {name: measured(network, config, name, images, labels) for name in LIMITS}
    lloyd, used, exact = found.values()
    above = [
        max(each.errors[name] / exact.errors[name] for name in exact.errors) - 1
        for each in (lloyd, used)
    ]
    cells = [f"{config.bits}", f"`{config.scope}`"]
    cells += [f"{each.error:.5f}" for each in (lloyd, used, exact)]
    cells += [f"+{each:.1%}" for each in above]
    cells += [f"{each.accuracy:.1%}" for each in (lloyd, used, exact)]
    cells += [f"{each.seconds:.2f}" for each in (lloyd, used)]
    print(f"| {' | '.join(cells)} |", flush=True)


def measured(
    network: Network, config: QuantizationConfig, name: str, images: Images, labels: Labels
) -> Found:
    """Quantize all weights, and ask the network."""
    codebook.EXACT_UP_TO = LIMITS[name]
    codebook._by_density = halfway if name == "Lloyd" else DENSE  # noqa: SLF001 - the peer
    began = time.process_time()
    quantized = quantize_network(network, config)
    seconds = time.process_time() - began
    packed = with_weights(network, {key: dequantize(each) for key, each in quantized.items()})
    weights = {key: network.get_parameter(key).detach() for key in quantized}
    errors = {
        key: float((packed.get_parameter(key).detach() - weight).double().square().sum())
        for key, weight in weights.items()
    }
    power = sum(float(weight.double().square().sum()) for weight in weights.values())
    return Found(errors, power, accuracy(packed, images, labels), seconds)


def halfway(ordered: Tensor, levels: int) -> Tensor:
    """Where Lloyd's algorithm starts: between evenly spaced levels and quantiles."""
    bits = levels.bit_length() - 1
    affine = affine_levels(ordered, bits)
    assert affine.scale is not None
    assert affine.zero_point is not None
    codes = torch.arange(levels, dtype=torch.float64) + lowest_code(bits)
    evenly = (codes - affine.zero_point[:, None]) * affine.scale[:, None].double()
    ranks = (torch.arange(levels) + 0.5) / levels * ordered.shape[1]
    between = (evenly + ordered[:, ranks.long()]) / 2
    return between.scatter_(1, between.abs().argmin(dim=1, keepdim=True), 0.0)


def with_weights(network: Network, weights: Mapping[str, Tensor]) -> Network:
    """A copy with other weights."""
    copy = build_network(network.spec.backbone, weights="scratch", widths=[], classes=10)
    copy.load_state_dict({**network.state_dict(), **weights})
    return copy.eval()


def with_its_head(backbone: str, path: Path) -> Network:
    """The network of a checkpoint, with the classifier that lies in it."""
    network = build_network(backbone, weights=str(path), widths=[], classes=10).eval()
    state = torch.load(path, weights_only=True, map_location="cpu")
    state = state.get("state_dict", state)
    (classifier,) = (part for part in network.head if isinstance(part, nn.Linear))
    (prefix,) = (key.removesuffix("linear.weight") for key in state if "linear.weight" in key)
    names = ("weight", "bias")
    classifier.load_state_dict({name: state[f"{prefix}linear.{name}"] for name in names})
    return network


if __name__ == "__main__":
    main()
