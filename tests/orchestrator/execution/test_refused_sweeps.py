"""Whole sweeps in which configurations are refused before training."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestrator.contracts import Silent, Store
from orchestrator.driver.running import run
from orchestrator.execution.inline import InlineExecutor
from orchestrator.fronts.front import Front, compute_front
from orchestrator.search.cost_model import KNOWN_NAMES
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.storage.opening import open_store
from orchestrator.trials import SweepState

MakeSpec = Callable[..., SweepSpec]
SPACE = {
    "fc_width_1": {"type": "choice", "values": [4, 12]},
    "fc_bits": {"type": "choice", "values": [2, 4, 8]},
}
LIMIT = "head_bytes <= 3000"


@dataclass
class Notes(Silent):
    """Keeps what is told."""

    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)


def spec_of(make_spec: MakeSpec, **changes: Any) -> SweepSpec:
    given: dict[str, Any] = {
        "space": SPACE,
        "training": {"epochs": 1},
        "sampler": {"kind": "tpe"},
        "objectives": {"accuracy": "maximize", "head_bytes": "minimize"},
        "budget": {"trials": 99},
        "reference": True,
    }
    return make_spec(**{**given, **changes})


def found(front: Front) -> list[tuple[object, ...]]:
    return [
        (member.params, member.values["accuracy"], member.values["head_bytes"]) for member in front
    ]


@pytest.mark.slow
def test_a_limit_before_training_gives_the_front_that_a_limit_afterwards_gives(
    store: Store, make_spec: MakeSpec, tmp_path: Any
) -> None:
    progress = Notes()
    limited = spec_of(make_spec, constraints=[LIMIT, "accuracy >= 0.01"])
    result = run(limited, store=store, progress=progress, executor=InlineExecutor)
    assert result.sweep.state is SweepState.COMPLETE
    assert (
        result.sweep.stop_reason
        == "every configuration that can meet head_bytes <= 3000 was tried"
    )
    trials = [trial for trial in store.trials(limited.name) if not trial.is_reference]
    assert all(trial.values["head_bytes"] <= 3000 for trial in trials)
    refused = 6 - len(trials)
    assert 0 < refused < 6
    assert any(
        note.startswith(f"{refused} configurations were refused") for note in progress.notes
    )

    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    everything = spec_of(make_spec)
    run(everything, store=other, executor=InlineExecutor)
    every = [t for t in other.trials(everything.name) if not t.is_reference]
    other.close()
    assert len(every) == 6
    filtered = compute_front(every, limited.directed, limited.limits)
    assert found(compute_front(trials, limited.directed, limited.limits)) == found(filtered)


def test_a_limit_that_nothing_meets_starts_nothing(store: Store, make_spec: MakeSpec) -> None:
    spec = spec_of(make_spec, constraints=["memory_bytes <= 1"], reference=False)
    result = run(spec, store=store, executor=InlineExecutor)
    assert store.trials(spec.name) == []
    assert result.sweep.stop_reason == "no configuration of the space can meet memory_bytes <= 1"


def test_the_reference_is_measured_whatever_the_limit(store: Store, make_spec: MakeSpec) -> None:
    spec = spec_of(make_spec, constraints=["memory_bytes <= 1"])
    run(spec, store=store, executor=InlineExecutor)
    (reference,) = store.trials(spec.name)
    assert reference.is_reference
    assert reference.values["memory_bytes"] > 1
    assert reference.values.keys() >= set(KNOWN_NAMES)
