"""What decides the result of a stage; importable without torch.

A key is a digest of everything that the result depends on, so that an entry of the cache is never
wrong, only absent: the code of this package, torch's version, the device, the content (not the
name) of weights and images, and the parameters that the stage reads.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import trainers
from trainers.config import PARAMETERS, TrialConfig

_QUANTIZATION = ("bits", "fc_bits", "quantizer", "scope", "layer_bits", "rate_weight")
# With `qat` training sees the weights as they will be packed; its quantizer is always the same.
_QUANTIZED_TRAINING = ("bits", "fc_bits", "scope", "layer_bits")
_NEVER_READ = ("attacks", "threads")


def after_training(qat: str) -> frozenset[str]:
    """The parameters that can be sampled and that nothing reads before a network is trained.

    Configurations that differ in these alone share their training.

    Args:
        qat: As `TrialConfig.qat`.
    """
    unread = _unread(qat)
    if "layer_bits" in unread:
        unread |= {name for name in PARAMETERS if name.startswith("bits_")}
    return unread & PARAMETERS.keys()


def training_parameters(config: TrialConfig) -> dict[str, Any]:
    """Everything of a config that its training reads, as JSON values.

    The number of threads is left out, as is the kind of processor: they decide last bits of sums,
    and with them no more than another seed would.
    """
    unread = _unread(config.qat)
    return {name: value for name, value in config.as_mapping().items() if name not in unread}


def training_key(config: TrialConfig) -> str:
    """Equal for configs whose training is one and the same, on the same images and weights."""
    return _digest(training_parameters(config))


def training_entry(
    config: TrialConfig, *, widths: tuple[int, ...], weights: str, data: str, device: str
) -> str:
    """Name of the cache's entry for a finished training.

    Args:
        config: Of the trial.
        widths: Hidden widths of the head, by whatever rule.
        weights: Digest of the backbone's weights before the training.
        data: Fingerprint of the images.
        device: What computes.
    """
    head = {"widths": list(widths), "fc_rule": None, "fc_fraction": None}
    parameters = {**training_parameters(config), **head, "weights": weights}
    return _entry("training", parameters, data, device)


def features_entry(
    config: TrialConfig, *, input_spec: Mapping[str, Any], weights: str, data: str, device: str
) -> str:
    """Name of the cache's entry for what a frozen backbone makes of the images.

    Args:
        config: Of the trial.
        input_spec: What is done to an image before.
        weights: Digest of the backbone's weights as they were loaded.
        data: Fingerprint of the images.
        device: What computes.
    """
    quantized = None
    if config.qat != "none":
        # Frozen weights are rounded in the same way in either mode.
        bits = {str(number): bits for number, bits in config.layer_bits.items()}
        quantized = {"bits": config.bits, "scope": config.scope, "layer_bits": bits}
    parameters = {
        "backbone": config.backbone,
        "input": input_spec,
        "weights": weights,
        "quantized": quantized,
    }
    return _entry("features", parameters, data, device)


def packed_features_entry(
    backbone: str, *, input_spec: Mapping[str, Any], weights: str, data: str, device: str
) -> str:
    """Name of the cache's entry for what a packed backbone makes of the validation images.

    Args:
        backbone: Its name.
        input_spec: What is done to an image before.
        weights: Digest of its weights as they were read back from the file.
        data: Fingerprint of the images.
        device: What computes.
    """
    parameters = {"backbone": backbone, "input": input_spec, "weights": weights}
    return _entry("packed", parameters, data, device)


def _unread(qat: str) -> frozenset[str]:
    """Names of `TrialConfig` that training does not read."""
    read = frozenset() if qat == "none" else frozenset(_QUANTIZED_TRAINING)
    return frozenset((*_NEVER_READ, *_QUANTIZATION)) - read


def _entry(stage: str, parameters: Mapping[str, Any], data: str, device: str) -> str:
    return f"{stage}-{_digest([stage, _code(), parameters, data, device])}"


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def _code() -> str:
    """Digest of this package's source and of torch's version.

    All of the source, since nobody can be trusted to count versions up: a change that makes no
    difference costs one computation, one that was forgotten would cost the truth.
    """
    root = Path(trainers.__file__).parent
    digest = hashlib.sha256(version("torch").encode())
    for path in sorted(root.rglob("*.py")):
        digest.update(f"\n{path.relative_to(root).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
