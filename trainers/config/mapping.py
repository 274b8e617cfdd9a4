"""Trial configs as JSON values, and back; importable without torch."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from trainers.evaluators.config import AttackConfig
from trainers.methods.config import MethodsConfig
from trainers.networks.backbone_table import backbone_info
from trainers.networks.brought.registry import is_code
from trainers.networks.reuse_config import ALL, ReuseConfig
from trainers.pruning.config import PruningConfig
from trainers.quantization.allocation import AllocationConfig
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.config import FLOAT_BITS
from trainers.quantization.packing_config import PackingConfig
from trainers.recipes.config import RecipeConfig

if TYPE_CHECKING:
    from trainers.config.trial_config import TrialConfig

_LATER: dict[str, Any] = {
    "depth": None,
    "width_multiplier": "none",
    "depth_cap": None,
    "depth_start": "prefix",
    "step": "absmax",
    "codebook_bits": FLOAT_BITS,
    "rounding": "nearest",
    "activation_bits": FLOAT_BITS,
    "activation_range": "minmax",
    "calibration": {},
}


def mapping_of(config: "TrialConfig") -> dict[str, Any]:
    """Return a config as `TrialConfig.as_mapping` does.

    >>> from trainers.config import TrialConfig
    >>> found = mapping_of(TrialConfig(backbone="digitnet", weights="bundled"))
    >>> found["bits"], "packing" in found
    (32, False)
    """
    values = {each.name: getattr(config, each.name) for each in fields(config)}
    values["calibration"] = _calibration(config.calibration)
    values = {name: v for name, v in values.items() if name not in _LATER or v != _LATER[name]}
    if is_code(config.backbone):
        # By its content, wherever its file is.
        values["backbone"] = backbone_info(config.backbone).name
    values["quantizer"] = config.quantization.quantizer
    values["widths"] = None if config.widths is None else list(config.widths)
    # Keys of a JSON object are texts.
    values["layer_bits"] = {str(number): bits for number, bits in config.layer_bits.items()}
    values["attacks"] = {name: asdict(attack) for name, attack in config.attacks.items()}
    # What earlier versions did not know is mentioned only where it is not the default: their
    # checkpoints and cached trainings are still those of this config.
    reuse = values.pop("reuse")
    pruning = values.pop("pruning")
    packing = values.pop("packing")
    later = {
        "allocation": values.pop("allocation").as_mapping(),
        "methods": values.pop("methods").changed(),
        "packing": {} if packing == PackingConfig() else asdict(packing),
        "pruning": {} if pruning == PruningConfig() else pruning.as_mapping(),
        "recipe": values.pop("recipe").changed(),
        "reuse": reuse.as_mapping() if reuse.policy != ALL else {},
        "functions": dict(values.pop("functions")),
        "latency": values.pop("latency"),
    }
    return values | {name: value for name, value in later.items() if value}


def _calibration(calibration: CalibrationConfig) -> dict[str, Any]:
    """Return the settings as earlier versions wrote them; none where all are the default."""
    values = asdict(calibration)
    if not values["equalize"]:
        del values["equalize"]
    return {} if calibration == CalibrationConfig() else values


def values_from(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a config from the result of `mapping_of`.

    >>> values_from({"backbone": "digitnet", "widths": [16]})["widths"]
    (16,)
    """
    values = dict(mapping)
    widths = values.get("widths")
    values["widths"] = None if widths is None else tuple(widths)
    values["layer_bits"] = {
        int(number): bits for number, bits in values.get("layer_bits", {}).items()
    }
    values["calibration"] = CalibrationConfig(**values.get("calibration", {}))
    values["packing"] = PackingConfig(**values.get("packing", {}))
    values["allocation"] = AllocationConfig(**values.get("allocation", {}))
    values["attacks"] = {
        name: AttackConfig(**attack) for name, attack in values.get("attacks", {}).items()
    }
    values["recipe"] = RecipeConfig.from_mapping(values.get("recipe", {}))
    if "reuse" in values:
        values["reuse"] = ReuseConfig(**values["reuse"])
    values["pruning"] = PruningConfig(**values.get("pruning", {}))
    values["methods"] = MethodsConfig(**values.get("methods", {}))
    return values
