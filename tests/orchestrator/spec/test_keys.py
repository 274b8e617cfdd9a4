"""The reference of the sweep file and its JSON schema say what the sections do."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from orchestrator.spec.keys import Key, section_keys, sweep_file_keys, sweep_file_schema
from orchestrator.spec.sweep_spec import SweepSpec
from search_spaces import load_space

ROOT = Path(__file__).resolve().parents[3]
KEYS = {key.path: key for key in sweep_file_keys()}
SCHEMA = jsonschema.Draft202012Validator(sweep_file_schema())
SMALLEST: dict[str, Any] = {
    "name": "s",
    "backbone": {"name": "digitnet", "weights": "bundled"},
    "data": "digits",
    "space": load_space("smoke").as_mapping(),
    "objectives": {"accuracy": "maximize"},
}


def complaints(data: object) -> list[str]:
    return [error.message for error in SCHEMA.iter_errors(data)]


def test_the_schema_is_a_schema() -> None:
    checked = jsonschema.Draft202012Validator.META_SCHEMA
    faults = jsonschema.Draft202012Validator(checked).iter_errors(sweep_file_schema())
    assert [fault.message for fault in faults] == []


def test_every_key_says_what_it_does_and_takes() -> None:
    assert {path for path, key in KEYS.items() if not (key.meaning and key.accepts)} == set()


def test_defaults_are_those_that_a_trial_has() -> None:
    assert KEYS["training.weight_decay"].default == "0.0001"
    assert KEYS["quantization.quantizer"].default == "symmetric"
    assert KEYS["pruning.schedule"].default == "one_shot"
    assert KEYS["name"].default == ""


def test_what_may_be_sampled_has_its_name_in_the_space() -> None:
    assert KEYS["training.epochs"].sampled_as == "epochs"
    assert KEYS["pruning.sparsity"].sampled_as == "pruning_sparsity"
    assert KEYS["backbone.name"].sampled_as == "backbone"
    assert KEYS["resources.cpus"].sampled_as == ""


def with_value(key: Key, value: object) -> dict[str, Any]:
    """The smallest sweep file with one more key."""
    *places, name = key.path.split(".")
    data = {**SMALLEST}
    target = data
    for place in places:
        target[place] = dict(target.get(place, {}))
        target = target[place]
    target[name] = value
    return data


SPELLED = [
    key
    for place in ("training", "quantization", "pruning", "execution", "budget", "scheduler")
    for key in section_keys(place)
    if key.default
]


@pytest.mark.parametrize("key", SPELLED, ids=lambda key: str(key.path))
def test_a_default_that_is_spelled_out_is_accepted_by_both(key: Key) -> None:
    data = with_value(key, yaml.safe_load(key.default))
    assert complaints(data) == []
    SweepSpec.model_validate(data)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.epochs", 0),
        ("training.optimizer", "adam"),
        ("training.freeze_batch_norm", "yes"),
        ("quantization.bits", 9),
        ("pruning.sparsity", 1.5),
        ("budget.trials", 0),
        ("execution.fuse", "never"),
        ("reference", "perhaps"),
    ],
)
def test_a_wrong_value_is_refused_by_both(path: str, value: object) -> None:
    data = with_value(KEYS[path], value)
    assert complaints(data)
    with pytest.raises(ValidationError):
        SweepSpec.model_validate(data)


@pytest.mark.parametrize(
    "short",
    [
        {"backbone": "resnet18"},
        {"sampler": "random"},
        {"scheduler": "moasha"},
        {"budget": 12},
        {"budget": {"disk": "20GB", "plateau": 5}},
        {"tracking": "none"},
        {"tracking": False},
        {"warm_start": "earlier.csv"},
        {"head": "sqrt"},
        {"execution": {"cache": False, "cache_bytes": "1GB"}},
        {"reference": True, "claim": {"keep": "accuracy", "margin": "2 points"}},
        {"training": {"augment": ["flip", {"rotation": 10}], "class_weights": [1, 2.5]}},
        {"measures": {"robust_accuracy": "pgd"}},
    ],
    ids=str,
)
def test_short_forms_are_known_to_the_schema(short: dict[str, Any]) -> None:
    assert complaints(SMALLEST | short) == []
    # As it is where files are read.
    SweepSpec.model_validate(SMALLEST | short)


def test_an_unknown_key_and_a_missing_one_are_named() -> None:
    assert any(
        "'trainig' was unexpected" in said for said in complaints({**SMALLEST, "trainig": {}})
    )
    without = {key: value for key, value in SMALLEST.items() if key != "data"}
    assert any("'data' is a required" in said for said in complaints(without))


def files() -> list[tuple[str, str]]:
    found = [(str(path), path.read_text()) for path in (ROOT / "examples").rglob("*.yaml")]
    for page in (ROOT / "docs").rglob("*.md"):
        for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S)):
            found.append((f"{page.name}-{number}", text))
    return [(name, text) for name, text in found if re.search(r"^name: ", text, re.M)]


@pytest.mark.parametrize("text", [text for _, text in files()], ids=[name for name, _ in files()])
def test_every_sweep_file_of_the_docs_fits_the_schema(text: str) -> None:
    assert complaints(yaml.safe_load(text)) == []


def test_the_page_is_made_from_the_sections() -> None:
    script = ROOT / "docs" / "reference" / "make_sweep_file.py"
    spec = importlib.util.spec_from_file_location("make_sweep_file", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (script.with_name("sweep-file.md")).read_text(encoding="utf-8")
    assert page == module.reference(), "run: python docs/reference/make_sweep_file.py"
