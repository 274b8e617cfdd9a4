"""Schedulers of a user's own: asked as ours are, and refused with the promise that they break."""

import re
from pathlib import Path

import pytest

from orchestrator.contracts import Decision
from orchestrator.errors import UsageError
from orchestrator.objectives import Direction, Objective
from orchestrator.scheduling import build_scheduler
from orchestrator.scheduling.moasha import MOASHA
from orchestrator.scheduling.own_scheduler import OwnScheduler, made_by
from orchestrator.spec.run_sections import SchedulerSection
from orchestrator.testing.scheduler_contract import SchedulerContract

MODULE = """
class Fair:
    milestones = (1, 3)
    def __init__(self, epochs, least=0.5): self.epochs, self.least = epochs, least
    def decide(self, trial, epoch, peers):
        return "continue" if peers[trial].get("accuracy", 1) >= self.least else "stop"
    def best_first(self, peers): return sorted(peers)

class Late(Fair):
    milestones = (1, 9)
class Falling(Fair):
    milestones = [3, 1]
class Odd(Fair):
    milestones = "soon"
class Raising(Fair):
    def decide(self, trial, epoch, peers): return peers[trial]["accuracy"]
class Silent(Fair):
    def decide(self, trial, epoch, peers): return None
class Short(Fair):
    def best_first(self, peers): return []
class Nothing:
    milestones = ()
def deaf(): raise OSError("no such drive")
"""
GOALS = [Objective("accuracy", Direction.MAXIMIZE), Objective("memory_bytes", Direction.MINIMIZE)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_scheduler.py"
    path.write_text(MODULE)
    return path


class TestOwn(SchedulerContract):
    @pytest.fixture
    def scheduler(self, file: Path) -> OwnScheduler:
        return made_by(f"{file}:Fair", {"epochs": 9}, {}, 9)


class TestOurs(SchedulerContract):
    @pytest.fixture
    def scheduler(self) -> MOASHA:
        return MOASHA(tuple(GOALS), (), (1, 3), 3)


def test_it_is_made_with_its_options_and_asked(file: Path) -> None:
    section = SchedulerSection(kind=f"{file}:Fair", options={"least": 0.8})
    scheduler = build_scheduler(section, GOALS, (), epochs=9)
    assert isinstance(scheduler, OwnScheduler)
    assert (scheduler.brought.epochs, scheduler.milestones) == (9, (1, 3))
    assert scheduler.decide(4, 1, {4: {"accuracy": 0.7}}) is Decision.STOP
    assert scheduler.decide(4, 1, {4: {"accuracy": 0.9}}) is Decision.CONTINUE


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Late", "milestones (1, 9); epochs from 1 to 8"),
        ("Falling", "in ascending order"),
        ("Odd", "milestones 'soon'"),
        ("Raising", "asked for trial 0 after epoch 1, and raised KeyError: 'accuracy'"),
        ("Silent", "answered None; a Decision of orchestrator.contracts is needed"),
        ("Nothing", "which lacks decide, best_first"),
        ("deaf", "raised OSError: no such drive"),
        ("absent", "has no 'absent'"),
    ],
)
def test_a_broken_promise_is_a_sentence(file: Path, name: str, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        made_by(f"{file}:{name}", {"epochs": 9}, {}, 9)


def test_an_option_that_it_does_not_take_is_named(file: Path) -> None:
    with pytest.raises(UsageError, match="called with most, and raised TypeError"):
        made_by(f"{file}:Fair", {"epochs": 9}, {"most": 3}, 9)


def test_an_order_without_all_trials_is_refused(file: Path) -> None:
    with pytest.raises(UsageError, match="each is needed once"):
        made_by(f"{file}:Short", {"epochs": 9}, {}, 9).best_first({1: {}})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "moasha", "options": {"a": 1}}, "for a scheduler of one's own: leave options"),
        ({"kind": "my:Own", "reduction": 3}, "takes options: leave reduction out"),
        ({"kind": "mo-asha"}, "moasha"),
    ],
)
def test_keys_of_the_other_kind_are_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SchedulerSection.model_validate(given)
