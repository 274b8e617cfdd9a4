"""The section `methods`: from the file to the trial, and what is refused before any training."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.spec.methods_section import MethodsSection
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.config import with_params
from trainers.methods import MethodsConfig
from trainers.methods.config import METHOD_NAMES

GIVEN: dict[str, Any] = {
    "name": "methods",
    "backbone": {"name": "digitnet", "weights": "bundled"},
    "data": "digits",
    "space": {"bits": {"type": "choice", "values": [4, 8]}},
    "objectives": {"accuracy": "maximize"},
}


def spec(**changes: Any) -> SweepSpec:
    return SweepSpec.model_validate({**GIVEN, **changes})


def test_the_section_has_every_method() -> None:
    assert tuple(MethodsSection.model_fields) == METHOD_NAMES


def test_what_is_given_comes_to_the_trial_and_what_is_sampled_replaces_it() -> None:
    sweep = spec(
        methods={"distillation": 0.5, "temperature": 2.0},
        space={"distillation": {"type": "choice", "values": [0.0, 0.9]}},
        training={"epochs": 7},
    )
    fixed = sweep.trial_config()
    assert fixed.methods == MethodsConfig(distillation=0.5, temperature=2.0)
    trial = with_params(fixed, {"distillation": 0.9}, seed=1)
    assert (trial.methods.distillation, trial.methods.temperature) == (0.9, 2.0)
    assert trial.methods.teacher["epochs"] == 7
    assert not with_params(fixed, {"distillation": 0.0}, seed=1).methods.active


def test_a_sweep_without_methods_is_the_one_it_was() -> None:
    assert "methods" not in spec().identity()
    assert spec(methods={"l2sp": 0.1}, training={"tune": "all"}).fingerprint() != (
        spec(training={"tune": "all"}).fingerprint()
    )


def test_the_reference_is_trained_like_the_others_but_without_a_teacher() -> None:
    sweep = spec(
        methods={"distillation": 0.5, "l2sp": 0.1, "expand": "head"}, training={"tune": "all"}
    )
    assert sweep.reference_config().methods == MethodsConfig(l2sp=0.1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": {"distilation": 0.5}}, "distilation"),
        ({"methods": {"adversarial": "fgm"}}, "'none' or 'fgsm' or 'pgd'"),
        ({"methods": {"temperature": 2.0}}, "a setting of distillation, which no trial has"),
        ({"methods": {"halo": 1e-8}}, "tune: head freezes them"),
        ({"methods": {"training_window": 0.5}, "training": {"tune": "all"}}, "takes 28 at least"),
        (
            {"space": {"expand_rate": {"type": "choice", "values": [2, 4]}}},
            "a setting of expand, which no trial has",
        ),
        ({"pruning": {"sparsity": 0.5, "criterion": "snip"}}, "frozen weights neither move"),
    ],
)
def test_what_would_do_nothing_is_refused(changes: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec(**changes)
