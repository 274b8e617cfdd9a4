"""Reuse policies in a sweep file."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.driver.preflight import check
from orchestrator.errors import UsageError
from orchestrator.spec.files import load_sweep
from trainers.networks.backbones import build_backbone
from trainers.reuse.sources import state_digest

LAYERS = dict.fromkeys(("0", "2", "5", "7", "10"), "freeze") | {"12": "reinitialize"}


def judgement(**changes: object) -> dict[str, Any]:
    digest = state_digest(build_backbone("digitnet", "bundled").features.state_dict())
    return {"backbone": "digitnet", "source_digest": digest, "verdict": LAYERS, **changes}


def sweep(folder: Path, found: object = None, **changes: Any) -> Path:
    (folder / "reuse.json").write_text(json.dumps(found or {"seeds": 3, **judgement()}))
    backbone = {"name": "digitnet", "weights": "bundled"}
    given = {
        "name": "reuse",
        "backbone": {**backbone, "policy": "judged", "verdict": "reuse.json"},
        "data": {"name": "digits"},
        "space": {"bits": {"type": "choice", "values": [4, 8]}},
        "training": {"tune": "all", "epochs": 1},
        "objectives": {"accuracy": "maximize"},
        "budget": {"trials": 2},
    }
    given |= {key: value for key, value in changes.items() if key != "backbone"}
    given["backbone"] = changes.get("backbone", given["backbone"])
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


def test_a_judgement_is_part_of_the_sweep_by_its_content(tmp_path: Path) -> None:
    spec = load_sweep(sweep(tmp_path))
    assert spec.trial_config().reuse.frozen == ("0", "2", "5", "7", "10")
    assert spec.backbone.verdict is not None
    before = spec.fingerprint()
    other = load_sweep(sweep(tmp_path, judgement(verdict={**LAYERS, "0": "tune"})))
    assert other.fingerprint() != before
    report = check(spec)
    assert report.problems == []
    assert ("reuse", "judged, of 6 layers: 5 freeze, 0 tune, 1 reinitialize") in report.lines


def test_the_policy_is_an_axis(tmp_path: Path) -> None:
    space = {"policy": {"type": "choice", "values": ["all", "judged", "none"]}}
    backbone = {"name": "digitnet", "weights": "bundled", "verdict": "reuse.json"}
    spec = load_sweep(sweep(tmp_path, space=space, backbone=backbone))
    assert check(spec).problems == []


def test_sweeps_without_a_policy_are_identified_as_before(tmp_path: Path) -> None:
    plain = load_sweep(sweep(tmp_path, backbone={"name": "digitnet", "weights": "bundled"}))
    assert plain.identity()["backbone"] == {"name": "digitnet", "weights": "bundled"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"training": {"tune": "head"}}, "Write tune: all"),
        ({"found": {"verdict": {}}}, "is no judgement"),
        ({"found": judgement(backbone="vgg16")}, "the verdict is of vgg16"),
        ({"found": judgement(verdict={**LAYERS, "0": "keep"})}, "'keep'"),
        ({"backbone": {"name": "digitnet", "policy": "judged", "weights": "bundled"}}, "needs a"),
        ({"backbone": {"name": "digitnet", "policy": "some", "weights": "bundled"}}, "'some'"),
        (
            {"backbone": {"name": "digitnet", "weights": "bundled", "verdict": "reuse.json"}},
            "no trial has it",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_sweep(sweep(tmp_path, **changes))


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (judgement(source_digest="0" * 64), "other weights than bundled"),
        (judgement(verdict={"0": "freeze"}), "it names 1 layers, the backbone has 6"),
    ],
)
def test_a_verdict_of_something_else_is_a_problem(
    tmp_path: Path, found: dict[str, Any], told: str
) -> None:
    (problem,) = check(load_sweep(sweep(tmp_path, found))).problems
    assert told in problem
