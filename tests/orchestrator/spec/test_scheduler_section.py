"""The section `scheduler` of a sweep file, and what is built of it."""

from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.scheduling import build_scheduler
from orchestrator.scheduling.fifo import Fifo
from orchestrator.scheduling.moasha import MOASHA
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.driving import make_spec

EPOCHS = {"epochs": 27}
LENGTHS = {"epochs": {"type": "choice", "values": [5, 12]}}


def built(scheduler: object, **changes: Any) -> Any:
    spec = make_spec(**{"scheduler": scheduler, "training": EPOCHS, **changes})
    return build_scheduler(spec.scheduler, spec.directed, spec.limits, spec.most_epochs)


def test_by_default_no_trial_is_stopped_and_the_fingerprint_says_nothing_of_it() -> None:
    assert built("fifo") == Fifo()
    assert make_spec().identity()["scheduler"] == {"kind": "fifo"}
    assert make_spec(scheduler="fifo").fingerprint() == make_spec().fingerprint()


def test_moasha_looks_at_all_objectives_and_constraints_at_milestones_that_grow() -> None:
    found = built("moasha", constraints=["memory_bytes <= 1MB"])
    assert isinstance(found, MOASHA)
    assert [each.name for each in found.objectives] == ["accuracy", "memory_bytes"]
    assert [str(each) for each in found.constraints] == ["memory_bytes <= 1000000"]
    assert (found.milestones, found.reduction) == ((1, 3, 9), 3)
    assert built({"kind": "moasha", "min_epochs": 2, "reduction": 4}).milestones == (2, 8)


@pytest.mark.parametrize("kind", ["asha", "median"])
def test_asha_and_median_look_at_one_objective(kind: str) -> None:
    attack = {"direction": "maximize", "attack": "fgsm"}
    objectives = {"memory_bytes": "minimize", "accuracy": "maximize", "robust_accuracy": attack}
    assert [each.name for each in built(kind, objectives=objectives).objectives] == ["accuracy"]
    other = built({"kind": kind, "metric": "robust_accuracy"}, objectives=objectives)
    assert [each.name for each in other.objectives] == ["robust_accuracy"]


def test_median_asks_at_even_distances_and_keeps_half() -> None:
    found = built({"kind": "median", "min_epochs": 8})
    assert (found.milestones, found.reduction) == ((8, 16, 24), 2)


def test_milestones_follow_the_longest_training_of_the_space() -> None:
    assert built("moasha", space=LENGTHS, training={"epochs": 3}).milestones == (1, 3, 9)


def test_defaults_that_are_written_out_change_nothing_and_other_values_do() -> None:
    given = make_spec(scheduler="moasha")
    written = make_spec(scheduler={"kind": "moasha", "min_epochs": 1, "reduction": 3})
    assert written.fingerprint() == given.fingerprint() != make_spec().fingerprint()
    assert make_spec(scheduler={"kind": "moasha", "reduction": 2}).fingerprint() != (
        given.fingerprint()
    )
    assert SweepSpec.model_validate(given.model_dump(mode="json")) == given


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"scheduler": {"kind": "fifo", "reduction": 3}},
            "fifo stops no trial: leave reduction out",
        ),
        ({"scheduler": {"kind": "moasha", "metric": "accuracy"}}, "all objectives: leave metric"),
        ({"scheduler": {"kind": "median", "reduction": 3}}, "better half go on: leave reduction"),
        ({"scheduler": {"kind": "moasha", "reduction": 1}}, "greater than or equal to 2"),
        ({"scheduler": {"kind": "moasha", "min_epochs": 0}}, "greater than or equal to 1"),
        ({"scheduler": {"kind": "moasha", "min_epochs": 27}}, "no trial has more than 27 epochs"),
        ({"scheduler": "moasha", "training": {"epochs": 1}}, "min_epochs is 1"),
        ({"scheduler": {"kind": "asha", "metric": "acuracy"}}, "that training changes: accuracy"),
        ({"scheduler": {"kind": "asha", "metric": "memory_bytes"}}, "training changes: accuracy"),
        ({"scheduler": "moasha", "objectives": {"params": "minimize"}}, "add accuracy"),
        ({"scheduler": "hyperband"}, "Known: asha, fifo, median, moasha"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        make_spec(**{"training": EPOCHS, **changes})
