"""Quantize a trained network with a look at training images, and keep what is better."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor, nn

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.data.splits import stratified_choice
from trainers.determinism import derive_seed
from trainers.networks.inputs import to_unit
from trainers.networks.network import Network
from trainers.quantization.activations import calibrate_activations, quantize_activations
from trainers.quantization.equalization import equalized
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import QuantizedWeight, dequantize
from trainers.quantization.rounding.network import (
    Batches,
    Rounded,
    divergence,
    round_network,
)
from trainers.stages.trial_stages import TrialStages

_BATCH = 32
_CODES = ".codes"
_FLOAT = "float."
_NEAREST, _ROUNDED = "nearest_divergence", "rounding_divergence"
_EQUALIZED = "equalized"

_Nearest = tuple[Network, Mapping[str, QuantizedWeight]]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A network to pack, with the codes of its weights.

    Attributes:
        network: On the CPU; biases and statistics of batch norms may differ from the trained ones.
        weights: Quantized weights by tensor name.
        values: Mean divergence of the predictions from those of the trained network, in nats, on
            images that were not used to choose the codes: `nearest_divergence` of rounding to
            nearest, and `rounding_divergence` of what is kept. Never above it. Left out where
            activations overflow. `equalized`, where it was asked for: 1 if it is kept, else 0.
    """

    network: Network
    weights: Mapping[str, QuantizedWeight]
    values: Mapping[str, float]


def calibrated(
    network: Network,
    config: TrialConfig,
    data: ImageData,
    *,
    device: torch.device,
    stages: TrialStages | None,
) -> Calibrated:
    """Quantize a trained network by the rounding of its config.

    This, with and without equalization where it is asked for, and rounding to nearest are tried on
    training images that were not used; the one whose predictions diverge least from those of the
    trained network is kept.

    Args:
        network: The trained network, on the CPU; not modified.
        config: Config of the trial, with the quantization.
        data: Data set; the training images are used.
        device: Where to compute.
        stages: Cached stages of the trial, or None.
    """
    nearest_of = cache(partial(_nearest, network, config))

    def make() -> dict[str, Tensor]:
        return _rounded(network, nearest_of, config, data, device)

    found = make() if stages is None else stages.rounding(network, config, make)
    values = {name: float(found[name]) for name in (_NEAREST, _ROUNDED)}
    values = {name: value for name, value in values.items() if math.isfinite(value)}
    if config.calibration.equalize:
        values[_EQUALIZED] = float(found[_EQUALIZED])
    packed, nearest = nearest_of(bool(values.get(_EQUALIZED)))
    weights = {
        name: QuantizedWeight(found[name + _CODES], weight.levels)
        for name, weight in nearest.items()
    }
    state = packed.state_dict()
    for name, tensor in found.items():
        if name.startswith(_FLOAT):
            state[name.removeprefix(_FLOAT)].copy_(tensor)
    return Calibrated(packed, weights, values)


def _nearest(
    network: Network,
    config: TrialConfig,
    is_equalized: bool,  # noqa: FBT001 - a key of the results that are kept
) -> _Nearest:
    """Return a copy of a network, equalized or as it is, and its nearest codes."""
    found = equalized(network) if is_equalized else copy.deepcopy(network)
    return found, quantize_network(found, config.quantization)


def _rounded(
    network: Network,
    nearest_of: Callable[[bool], _Nearest],
    config: TrialConfig,
    data: ImageData,
    device: torch.device,
) -> dict[str, Tensor]:
    """Return codes, corrected floats and both divergences, as tensors for the cache."""
    trained = copy.deepcopy(network).to(device).eval().requires_grad_(requires_grad=False)
    fitted, judged = _images(config, data, device)
    nearest = nearest_of(False)[1]  # noqa: FBT003
    best, is_equalized = Rounded(nearest, {}), False
    before = least = divergence(trained, _with(trained, nearest, {}), judged)
    for equalizes in (False, True) if config.calibration.equalize else (False,):
        source, codes = nearest_of(equalizes)
        start = copy.deepcopy(source).to(device).eval().requires_grad_(requires_grad=False)
        rounded = round_network(
            start,
            codes,
            fitted,
            rounding=config.chosen_rounding,
            calibration=config.calibration,
        )
        after = divergence(trained, _with(start, rounded.weights, rounded.floats), judged)
        if after < least:
            best, least, is_equalized = rounded, after, equalizes
    found = {name + _CODES: weight.codes for name, weight in best.weights.items()}
    found |= {_FLOAT + name: tensor.cpu() for name, tensor in best.floats.items()}
    found[_NEAREST] = torch.tensor(before, dtype=torch.float64)
    found[_ROUNDED] = torch.tensor(least, dtype=torch.float64)
    found[_EQUALIZED] = torch.tensor(float(is_equalized), dtype=torch.float64)
    return found


def with_activations(
    network: Network,
    weights: Mapping[str, QuantizedWeight],
    config: TrialConfig,
    data: ImageData,
    device: torch.device,
) -> Network:
    """Return a copy of a network that rounds the inputs of its layers.

    Their levels are found on the calibration images, with the weights as they will be packed.

    Args:
        network: The network to pack; not modified.
        weights: Its quantized weights by tensor name.
        config: Config of the trial.
        data: Data set; the training images are used.
        device: Where to compute.
    """
    as_packed = _with(network, weights, {}).to(device).eval()
    fitted, _ = _images(config, data, device)
    found = calibrate_activations(
        as_packed, fitted, config.activation_bits, config.activation_range
    )
    rounding = copy.deepcopy(network)
    quantize_activations(rounding, found)
    return rounding


def _with(
    network: nn.Module, weights: Mapping[str, QuantizedWeight], floats: Mapping[str, Tensor]
) -> nn.Module:
    """Return a copy of a network with other weights."""
    changed = copy.deepcopy(network)
    state = changed.state_dict()
    for name, weight in weights.items():
        state[name].copy_(dequantize(weight))
    for name, tensor in floats.items():
        state[name].copy_(tensor)
    return changed


def _images(config: TrialConfig, data: ImageData, device: torch.device) -> tuple[Batches, Batches]:
    """Choose the images that codes are fitted to, and as many others that judge them."""
    images, labels = data.subset("train")
    seed = derive_seed(config.calibration.seed, "calibration")
    count = min(2 * config.calibration.images, len(images))
    chosen = stratified_choice(labels, count, seed)

    def batches(which: slice) -> Batches:
        def begin() -> Iterator[Tensor]:
            indices = chosen[which]
            for first in range(0, len(indices), _BATCH):
                batch = images[indices[first : first + _BATCH]]
                yield to_unit(torch.tensor(batch, device=device))

        return begin

    # One image alone judges itself.
    return batches(slice(0, None, 2)), batches(slice(1 if count > 1 else 0, None, 2))
