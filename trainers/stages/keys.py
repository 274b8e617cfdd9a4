"""Cache keys: everything that decides the result of a stage; importable without torch.

A key is a digest of everything that the result depends on, so that an entry of the cache is never
wrong, only absent: the code of this package, torch's version, the device, the content (not the
name) of weights and images, and the parameters that the stage reads.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import trainers
from trainers.config import TrialConfig
from trainers.networks.brought.registry import version_of
from trainers.parameters import PARAMETERS
from trainers.pruning.config import PREFIX
from trainers.quantization.allocation import ALLOCATED_BITS
from trainers.quantization.layer_bits import LAYER_BITS

_QUANTIZATION = (
    *("bits", "fc_bits", "quantizer", "scope", "layer_bits", "rate_weight", "codebook_bits"),
)
_ACTIVATIONS = ("activation_bits", "activation_range")
_ROUNDING = ("step", "rounding", "calibration", "allocation", "packing", *_ACTIVATIONS)
# With `qat` training sees the weights as they will be packed; its quantizer is always the same.
_QUANTIZED_TRAINING = ("bits", "fc_bits", "scope", "layer_bits")
_NEVER_READ = ("attacks", "threads", "functions", "latency")


def after_training(qat: str) -> frozenset[str]:
    """Return the sampled parameters that are not read before the end of the training.

    Configurations that differ only in these share their training.

    >>> found = after_training("lsq")
    >>> "quantizer" in found, "rounding" in found, "bits" in found
    (True, True, False)

    Args:
        qat: As `TrialConfig.qat`.
    """
    unread = _unread(qat)
    if "layer_bits" in unread:
        unread |= set(LAYER_BITS)
    return (unread | {ALLOCATED_BITS}) & PARAMETERS.keys()


def training_parameters(config: TrialConfig) -> dict[str, Any]:
    """Return the part of a config that its training reads, as JSON values.

    The number of threads and the kind of processor are left out: they change only the last bits of
    sums, which matters no more than another seed.

    >>> config = TrialConfig(backbone="digitnet", weights="bundled")
    >>> read = training_parameters(config)
    >>> "learning_rate" in read, "bits" in read
    (True, False)
    """
    unread = set(_unread(config.qat))
    if not config.pruning.active:
        unread.add("pruning")
    read = {name: value for name, value in config.as_mapping().items() if name not in unread}
    return read | package_version(config.backbone)


def training_key(config: TrialConfig) -> str:
    """Return a key equal for configs with the same training, given the same images and weights.

    >>> from dataclasses import replace
    >>> config = TrialConfig(backbone="digitnet", weights="bundled", bits=4)
    >>> training_key(config) == training_key(replace(config, bits=8))
    True
    >>> training_key(config) == training_key(replace(config, seed=1))
    False
    """
    return _digest(training_parameters(config))


def training_entry(
    config: TrialConfig, *, widths: tuple[int, ...], weights: str, data: str, device: str
) -> str:
    """Name the cache entry of a finished training.

    Args:
        config: Config of the trial.
        widths: Hidden widths of the head, after the sizing rule.
        weights: Digest of the backbone's weights before the training.
        data: Fingerprint of the images.
        device: Name of the device that computes.

    >>> config = TrialConfig(backbone="digitnet", weights="bundled")
    >>> facts = {"weights": "w", "data": "d", "device": "cpu"}
    >>> one, other = (training_entry(config, widths=each, **facts) for each in ((16,), (8,)))
    >>> one == other
    False
    """
    head = {"widths": list(widths), "fc_rule": None, "fc_fraction": None}
    parameters = {**training_parameters(config), **head, "weights": weights}
    return _entry("training", parameters, data, device)


def features_entry(
    config: TrialConfig, *, input_spec: Mapping[str, Any], weights: str, data: str, device: str
) -> str:
    """Name the cache entry of the features that a frozen backbone computes.

    Args:
        config: Config of the trial.
        input_spec: Input of the backbone: size and normalization of the images.
        weights: Digest of the backbone's weights as they were loaded.
        data: Fingerprint of the images.
        device: Name of the device that computes.

    >>> from dataclasses import replace
    >>> config = TrialConfig(backbone="digitnet", weights="bundled", qat="none")
    >>> facts = {"input_spec": {}, "weights": "w", "data": "d", "device": "cpu"}
    >>> features_entry(config, **facts) == features_entry(replace(config, dropout=0.5), **facts)
    True
    """
    quantized = None
    if config.qat != "none":
        # Frozen weights are rounded in the same way in either mode.
        bits = {str(number): bits for number, bits in config.layer_bits.items()}
        quantized = {"bits": config.bits, "scope": config.scope, "layer_bits": bits}
    parameters: dict[str, Any] = {
        "backbone": config.architecture,
        "input": input_spec,
        "weights": weights,
        "quantized": quantized,
        **frozen_pruning(config),
        **package_version(config.backbone),
    }
    if views := config.recipe.view_parameters():
        parameters |= {**views, "seed": config.seed}
    return _entry("features", parameters, data, device)


def frozen_pruning(config: TrialConfig) -> dict[str, Any]:
    """Return what decides the pruning of a frozen backbone; empty without pruning.

    >>> from dataclasses import replace
    >>> from trainers.pruning.config import PruningConfig
    >>> config = TrialConfig(backbone="digitnet", weights="bundled", seed=7)
    >>> frozen_pruning(config)
    {}
    >>> pruning = PruningConfig(sparsity=0.5, criterion="random")
    >>> found = frozen_pruning(replace(config, pruning=pruning))
    >>> found["pruning_sparsity"], found["seed"]
    (0.5, 7)
    """
    if not config.pruning.active:
        return {}
    settings = {f"{PREFIX}{name}": value for name, value in config.pruning.as_mapping().items()}
    # A criterion of a user's own may look at the noise.
    is_drawn = config.pruning.criterion == "random" or config.pruning.has_own_criterion
    if is_drawn or config.pruning.restart:
        settings["seed"] = config.seed
    return settings


def package_version(backbone: str) -> dict[str, str]:
    """Return the version of the package that builds a backbone; empty if its name fixes its code.

    >>> package_version("digitnet")
    {}
    """
    found = version_of(backbone)
    return {"package": found} if found else {}


def packed_features_entry(
    backbone: str, *, input_spec: Mapping[str, Any], weights: str, data: str, device: str
) -> str:
    """Name the cache entry of the features of the validation images from a packed backbone.

    Args:
        backbone: Its name.
        input_spec: Input of the backbone: size and normalization of the images.
        weights: Digest of its weights as they were read back from the file.
        data: Fingerprint of the images.
        device: Name of the device that computes.

    >>> facts = {"input_spec": {}, "weights": "w", "device": "cpu"}
    >>> one, other = (packed_features_entry("digitnet", data=data, **facts) for data in "ab")
    >>> one == other
    False
    """
    parameters = {"backbone": backbone, "input": input_spec, "weights": weights}
    parameters |= package_version(backbone)
    return _entry("packed", parameters, data, device)


def measurement_entry(kind: str, parameters: Mapping[str, Any], *, data: str) -> str:
    """Name the cache entry of one measurement of an analysis.

    Args:
        kind: Name of the analysis.
        parameters: What the measurement reads, as JSON values.
        data: Digest of the images.

    >>> one, other = (measurement_entry("reuse", {"layer": "a"}, data=data) for data in "ab")
    >>> one == other
    False
    """
    return _entry(kind, parameters, data, "cpu")


def rounding_entry(config: TrialConfig, *, weights: str, data: str, device: str) -> str:
    """Name the cache entry of the codes that a look at training images decided.

    >>> config = TrialConfig(backbone="digitnet", weights="scratch", bits=4)
    >>> rounding_entry(config, weights="w", data="d", device="cpu").split("-")[0]
    'rounding'

    Args:
        config: Config of the trial.
        weights: Digest of the trained network.
        data: Fingerprint of the images.
        device: Name of the device that computes.
    """
    values = {name: getattr(config, name) for name in _QUANTIZATION}
    values["quantizer"] = config.quantization.quantizer
    values["layer_bits"] = {str(number): bits for number, bits in config.layer_bits.items()}
    values |= {"step": config.quantization.step, "rounding": config.chosen_rounding}
    parameters = {**values, "calibration": asdict(config.calibration), "weights": weights}
    return _entry("rounding", parameters, data, device)


def sensitivity_entry(config: TrialConfig, *, weights: str, data: str, device: str) -> str:
    """Name the cache entry of how much each layer of a trained network minds few bits.

    It does not depend on the budget, so that all budgets share it.

    >>> from dataclasses import replace
    >>> from trainers.quantization.allocation import AllocationConfig
    >>> config = TrialConfig(backbone="digitnet", weights="scratch")
    >>> configs = [replace(config, allocation=AllocationConfig(bits=bits)) for bits in (3, 4)]
    >>> facts = {"weights": "w", "data": "d", "device": "cpu"}
    >>> len({sensitivity_entry(each, **facts) for each in configs})
    1

    Args:
        config: Config of the trial.
        weights: Digest of the trained network.
        data: Fingerprint of the images.
        device: Name of the device that computes.
    """
    names = ("quantizer", "scope", "rate_weight", "codebook_bits")
    parameters: dict[str, Any] = {name: getattr(config, name) for name in names}
    parameters |= {
        "quantizer": config.quantization.quantizer,
        "step": config.quantization.step,
        "images": config.allocation.images,
        "seed": config.calibration.seed,
    }
    if config.allocation.rounded:
        parameters |= {"rounding": config.chosen_rounding}
    return _entry("sensitivity", {**parameters, "weights": weights}, data, device)


def _unread(qat: str) -> frozenset[str]:
    """Return the fields of `TrialConfig` that training does not read."""
    read = frozenset() if qat == "none" else frozenset(_QUANTIZED_TRAINING)
    return frozenset((*_NEVER_READ, *_QUANTIZATION, *_ROUNDING)) - read


def _entry(stage: str, parameters: Mapping[str, Any], data: str, device: str) -> str:
    return f"{stage}-{_digest([stage, _code(), parameters, data, device])}"


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def _code() -> str:
    """Compute a digest of this package's source and of torch's version.

    It covers all of the source, because a version number can be forgotten: a digest that changes
    needlessly costs one computation, a forgotten version would give wrong results.
    """
    root = Path(trainers.__file__).parent
    digest = hashlib.sha256(version("torch").encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(f"\n{path.relative_to(root).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
