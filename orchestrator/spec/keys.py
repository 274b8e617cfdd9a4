"""The keys of a sweep file: what each accepts, its default, and what it does.

Both the reference and the JSON schema are made from the sections themselves, whose docstrings,
with those of the settings that they build, explain each key.
"""

import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from orchestrator.spec.allocation_section import AllocationSection
from orchestrator.spec.backbone_section import BackboneSection, VerdictSection
from orchestrator.spec.claim_section import ClaimSection
from orchestrator.spec.measure_sections import MeasureSection, ObjectiveSection
from orchestrator.spec.methods_section import MethodsSection
from orchestrator.spec.pruning_section import PruningSection
from orchestrator.spec.run_sections import (
    BudgetSection,
    ExecutionSection,
    PlateauSection,
    ResourcesSection,
    SchedulerSection,
    TrackingSection,
    WarmStartSection,
)
from orchestrator.spec.sampler_section import SamplerSection
from orchestrator.spec.section import Quantity, Section
from orchestrator.spec.sensitivity_section import SensitivitySection
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.spec.trial_sections import (
    CalibrationSection,
    DataSection,
    HeadSection,
    PackingSection,
    QuantizationSection,
    TrainingSection,
)
from trainers.config import TrialConfig
from trainers.data.config import DataConfig, data_names
from trainers.doors import shipped
from trainers.evaluators.config import AttackConfig, AttackName
from trainers.methods.config import MethodsConfig
from trainers.networks.backbone_table import backbone_names
from trainers.parameters import PARAMETERS, Accepts
from trainers.pruning.config import CRITERIA, PREFIX, PruningConfig
from trainers.quantization.allocation import AllocationConfig
from trainers.quantization.calibration import CalibrationConfig
from trainers.quantization.config import QUANTIZERS, QuantizationConfig
from trainers.quantization.layer_bits import LAYER_BITS
from trainers.quantization.packing_config import PackingConfig
from trainers.recipes.config import RecipeConfig

SECTIONS: Mapping[str, type[Section]] = {
    "": SweepSpec,
    "backbone": BackboneSection,
    "backbone.verdict": VerdictSection,
    "data": DataSection,
    "training": TrainingSection,
    "head": HeadSection,
    "quantization": QuantizationSection,
    "quantization.calibration": CalibrationSection,
    "quantization.allocation": AllocationSection,
    "quantization.packing": PackingSection,
    "quantization.sensitivity": SensitivitySection,
    "pruning": PruningSection,
    "methods": MethodsSection,
    "objectives.NAME": ObjectiveSection,
    "measures.NAME": MeasureSection,
    "front_measures.NAME": MeasureSection,
    "sampler": SamplerSection,
    "warm_start": WarmStartSection,
    "scheduler": SchedulerSection,
    "budget": BudgetSection,
    "budget.plateau": PlateauSection,
    "claim": ClaimSection,
    "resources": ResourcesSection,
    "execution": ExecutionSection,
    "tracking": TrackingSection,
}
"""Each section by its place in the file; NAME is the name of a value."""

# What a section builds has docstrings and defaults for the keys that the section leaves to it.
_BUILDS: Mapping[type[Section], tuple[type, ...]] = {
    BackboneSection: (TrialConfig,),
    DataSection: (DataConfig,),
    TrainingSection: (RecipeConfig, TrialConfig),
    QuantizationSection: (QuantizationConfig, TrialConfig),
    CalibrationSection: (CalibrationConfig,),
    AllocationSection: (AllocationConfig,),
    PackingSection: (PackingConfig,),
    PruningSection: (PruningConfig,),
    MethodsSection: (MethodsConfig,),
    MeasureSection: (AttackConfig,),
    ObjectiveSection: (AttackConfig,),
}
# Sections that a file may name instead, which has their content.
_FILES = ("backbone.verdict", "quantization.sensitivity")
_KNOWN_WORDS: Mapping[str, Callable[[], Collection[str]]] = {
    "data.name": data_names,
    "backbone.name": backbone_names,
    "quantization.quantizer": lambda: _words("quantizers", QUANTIZERS),
    "pruning.criterion": lambda: _words("criteria", CRITERIA),
    **{
        f"{section}.NAME.attack": lambda: _words("attacks", get_args(AttackName))
        for section in ("objectives", "measures", "front_measures")
    },
}
_ENTRY = re.compile(r"^(\w+): (.*(?:\n {4}.*)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a sweep file.

    Attributes:
        path: Its place, as in ``training.weight_decay``.
        accepts: The accepted values, in words.
        default: The default as a sweep file would have it; empty if the key is required, or if
            leaving it out is a choice of its own.
        meaning: What it does.
        sampled_as: Name under which the space may sample it; empty if it cannot.
    """

    path: str
    accepts: str
    default: str
    meaning: str
    sampled_as: str = ""


def _words(kind: str, ours: Iterable[str]) -> tuple[str, ...]:
    """Return what a key takes: our words, those of packages, and a reference to code."""
    return (*ours, *shipped(kind), "module:name")


def attributes(documented: type) -> dict[str, str]:
    """Read the section ``Attributes:`` of a class's docstring.

    >>> attributes(Key)["path"]
    'Its place, as in ``training.weight_decay``.'
    """
    text = inspect.getdoc(documented) or ""
    _, _, listed = text.partition("\nAttributes:\n")
    # Up to the next line that is not indented.
    block = re.split(r"\n(?=\S)", listed)[0]
    lines = "\n".join(line[4:] for line in block.split("\n"))
    return {name: " ".join(said.split()) for name, said in _ENTRY.findall(lines)}


def section_keys(place: str) -> list[Key]:
    """List the keys of a section, in the order of its definition.

    >>> keys = {key.path: key for key in section_keys("training")}
    >>> keys["training.weight_decay"].default
    '0.0001'
    >>> keys["training.weight_decay"].accepts
    'a number from 0 to 1'

    Args:
        place: One of `SECTIONS`.
    """
    section = SECTIONS[place]
    return [_key(place, section, name, info) for name, info in section.model_fields.items()]


def sweep_file_keys() -> Iterator[Key]:
    """List the keys of all sections.

    >>> sum(key.path == "seed" for key in sweep_file_keys())
    1
    """
    for place in SECTIONS:
        yield from section_keys(place)


def sweep_file_schema() -> dict[str, Any]:
    """Build the JSON schema of a sweep file, for editors and validators.

    It describes files, in which a section may have a short form. It is weaker than `paretune
    check`, which also knows what fits together.

    >>> sweep_file_schema()["required"]
    ['name', 'backbone', 'data', 'space', 'objectives']
    """
    schema = SweepSpec.model_json_schema(mode="validation")
    definitions = schema["$defs"]
    for place, section in SECTIONS.items():
        target = definitions[section.__name__] if place else schema
        target["description"] = (inspect.getdoc(section) or "").split("\n\n")[0]
        for key in section_keys(place):
            name = key.path.rpartition(".")[2]
            given = target["properties"][name]
            given.pop("title", None)
            given["description"] = key.meaning
            target["properties"][name] = _with_values(key, given)
    properties = schema["properties"]
    properties["space"] = _space_schema(properties["space"]["description"], definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Sweep file of paretune",
    }


def _key(place: str, section: type[Section], name: str, info: FieldInfo) -> Key:
    builds = _BUILDS.get(section, ())
    said: dict[str, str] = {}
    for documented in (*reversed(builds), section):
        said |= attributes(documented)
    path = f"{place}.{name}" if place else name
    parameter = _PARAMETER_NAMES.get(path, f"{_SAMPLED.get(section, '/')}{name}")
    sampled_as = parameter if parameter in PARAMETERS else ""
    return Key(
        path,
        _accepted(path, sampled_as, info),
        _default(name, info, builds),
        said.get(name, ""),
        sampled_as,
    )


# The sections whose keys the space may sample instead, with what is before the names there.
_SAMPLED = {
    BackboneSection: "",
    TrainingSection: "",
    QuantizationSection: "",
    MethodsSection: "",
    PruningSection: PREFIX,
}
_PARAMETER_NAMES = {"backbone.name": "backbone"}
_TAKES_UNITS = get_args(Quantity)[1]
_UNITS = ", for example `200kB`, `8/255` or `1e6`"


def _accepted(path: str, sampled_as: str, info: FieldInfo) -> str:
    if path == "space":
        return "text or a mapping"
    if path in _FILES:
        return "a path or a section"
    known = _KNOWN_WORDS.get(path)
    if known:
        return ", ".join(f"`{name}`" for name in known())
    if sampled_as:
        return str(PARAMETERS[sampled_as]).replace("'", "`").replace("` or `", "`, `")
    with_units = _UNITS if _TAKES_UNITS in info.metadata else ""
    return _in_words(info.annotation) + _bounds(info) + with_units


def _in_words(annotation: Any) -> str:
    """Name the type of a key for someone who writes YAML."""
    arguments = [each for each in get_args(annotation) if each is not type(None)]
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "a section"
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if origin is list:
        return f"a list, each {_in_words(arguments[0])}"
    if origin in (None, dict):
        return _TYPES[origin or annotation]
    # What `Annotated` adds to a type are checks.
    types = arguments[:1] if origin is Annotated else arguments
    return " or ".join(dict.fromkeys(_in_words(each) for each in types))


_TYPES: Mapping[Any, str] = {
    dict: "a mapping",
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
}


def _bounds(info: FieldInfo) -> str:
    words = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    found = [
        f"{said} {getattr(each, name):g}"
        for each in info.metadata
        for name, said in words.items()
        if getattr(each, name, None) is not None
    ]
    return f" {' and '.join(found)}" if found else ""


def _default(name: str, info: FieldInfo, builds: tuple[type, ...]) -> str:
    value = None if info.is_required() else info.get_default(call_default_factory=True)
    if value is None and not info.is_required():
        given = [field for kind in builds for field in fields(kind) if field.name == name]
        defaults = [field.default for field in given if field.default is not MISSING]
        value = next((each for each in defaults if each is not None), None)
    if isinstance(value, Section):
        value = value.model_dump(exclude_defaults=True) or None
    return "" if value is None else value if isinstance(value, str) else _plain(value)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _with_values(key: Key, given: dict[str, Any]) -> dict[str, Any]:
    """Add what a parameter accepts, and names that an editor may suggest."""
    if key.path in _FILES:
        return {**given, "anyOf": [{"type": "string"}, *given["anyOf"]]}
    known = _KNOWN_WORDS.get(key.path)
    if known:
        return {**given, "anyOf": [{"enum": list(known())}, {"type": "string"}]}
    # A key that takes a list beside words keeps its own form.
    if not key.sampled_as or "array" in json.dumps(given):
        return given
    kept: dict[str, Any] = {
        name: given[name] for name in ("description", "default") if name in given
    }
    return {**kept, "anyOf": [*_alternatives(PARAMETERS[key.sampled_as]), {"type": "null"}]}


def _alternatives(accepts: Accepts) -> Iterator[dict[str, Any]]:
    if accepts.words or accepts.also:
        yield {"enum": [*accepts.words, *accepts.also]}
    if accepts.example:
        yield {"type": "string", "pattern": f"^(?:{accepts.pattern})$"}
    if accepts.flag:
        yield {"type": "boolean"}
    if accepts.low is not None:
        kind = "integer" if accepts.whole else "number"
        most = {} if accepts.high == float("inf") else {"maximum": accepts.high}
        yield {"type": kind, "minimum": accepts.low, **most}


def _space_schema(meaning: str, definitions: dict[str, Any]) -> dict[str, Any]:
    when = {"type": "string", "description": "Condition under which the parameter is active."}
    number = {"type": "number"}
    interval = {"low": number, "high": number, "step": number, "log": {"type": "boolean"}}
    listed = {"values": {"type": "array", "minItems": 1}}
    domains = [
        _domain(["int", "float"], {**interval, "when": when}, ["low", "high"]),
        _domain(["choice"], {**listed, "when": when}, ["values"]),
    ]
    parameters = {
        name: {"description": f"{accepts.meaning}: {accepts}", "$ref": "#/$defs/Domain"}
        for name, accepts in PARAMETERS.items()
        if name not in LAYER_BITS
    }
    mapping = {
        "type": "object",
        "properties": parameters,
        "patternProperties": {"^bits_[1-9][0-9]*$": {"$ref": "#/$defs/Domain"}},
        "additionalProperties": False,
    }
    definitions["Domain"] = {"anyOf": domains}
    return {"description": meaning, "anyOf": [{"type": "string"}, mapping]}


def _domain(words: list[str], properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"type": {"enum": words}, **properties},
        "required": ["type", *required],
        "additionalProperties": False,
    }
