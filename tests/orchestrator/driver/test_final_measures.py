"""What is measured when the search is over, and what is not measured again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.analysis.outcomes import outcomes_of, signs_of
from orchestrator.contracts import FrontJob, Silent, Store
from orchestrator.driver.final_measures import check_front_measures, front_jobs
from orchestrator.driver.running import run
from orchestrator.errors import UsageError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.queries.sweeps import open_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.storage.opening import open_store
from orchestrator.trials import REFERENCE_ATTRS, Artifact, Trial, TrialState
from search_spaces import load_space
from trainers.evaluators.config import AttackConfig

STRONG = {"robust_accuracy_strong": {"attack": "apgd"}}
EXCHANGED = {"robust_accuracy_from_reference": {}, "robust_accuracy_of_reference": {}}


def make_spec(**changes: Any) -> SweepSpec:
    given: dict[str, Any] = {
        "name": "a",
        "backbone": {"name": "digitnet", "weights": "scratch"},
        "data": {"name": "digits"},
        "space": load_space("fc_quant").as_mapping(),
        "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
        "sampler": {"kind": "random"},
        "tracking": {"kind": "none"},
    }
    return SweepSpec.model_validate({**given, **changes})


def trial(number: int, *, seed: int = 0, reference: bool = False, **values: float) -> Trial:
    return Trial(
        sweep="a",
        number=number,
        params={} if reference else {"bits": 2 + number // 2},
        seed=seed,
        replicate=seed,
        state=TrialState.COMPLETE,
        values={"accuracy": 0.5, "memory_bytes": 100.0, **values},
        artifact=Artifact(f"{number}.safetensors", 100, "0" * 64),
        sampler_attrs=REFERENCE_ATTRS if reference else {},
    )


def test_members_with_their_other_seeds_and_the_reference_are_measured() -> None:
    trials = [
        trial(0, accuracy=0.9),
        trial(1, seed=1, accuracy=0.8),
        trial(2, accuracy=0.1, memory_bytes=200.0),
        trial(3, seed=1, accuracy=0.1, memory_bytes=200.0),
        trial(4, reference=True, memory_bytes=900.0),
        trial(5, seed=1, reference=True, memory_bytes=900.0),
    ]
    spec = make_spec(reference=True, front_measures={**STRONG, **EXCHANGED})
    jobs = front_jobs(trials, spec)
    assert sorted(jobs) == [0, 1, 4, 5]
    names = (*STRONG, *EXCHANGED)
    assert jobs[0] == FrontJob("0.safetensors", True, names, "4.safetensors")
    assert jobs[5] == FrontJob("5.safetensors", True, names, "5.safetensors")


def test_only_what_is_missing_is_measured() -> None:
    trials = [
        trial(0, accuracy=0.9, test_accuracy=0.8, robust_accuracy_strong=0.1),
        trial(2, memory_bytes=50.0, test_accuracy=0.8),
        trial(4, memory_bytes=20.0, accuracy=0.4, robust_accuracy_strong=0.1),
    ]
    assert front_jobs(trials, make_spec(front_measures=STRONG)) == {
        2: FrontJob("2.safetensors", False, ("robust_accuracy_strong",)),
        4: FrontJob("4.safetensors", True),
    }


def test_no_images_are_exchanged_with_a_reference_of_another_seed() -> None:
    trials = [trial(0, accuracy=0.9), trial(5, seed=1, reference=True)]
    spec = make_spec(reference=True, front_measures={**STRONG, **EXCHANGED})
    assert front_jobs(trials, spec)[0].measures == tuple(STRONG)
    assert front_jobs(trials, spec)[0].reference is None


@pytest.mark.parametrize("now", [{}, {"robust_accuracy_strong": {"attack": "square"}}])
def test_a_front_measure_that_was_used_is_neither_changed_nor_taken_away(now: Any) -> None:
    stored = make_spec(front_measures=STRONG).model_dump(mode="json")
    with pytest.raises(UsageError, match=r"never share a name.*attack: apgd, epsilon: 0\.03"):
        check_front_measures(stored, make_spec(front_measures=now))
    more = {**STRONG, "robust_accuracy_other": {"attack": "square"}}
    check_front_measures(stored, make_spec(front_measures=more))
    check_front_measures(make_spec().model_dump(mode="json"), make_spec(front_measures=more))


ROBUST = {"accuracy": "maximize", "memory_bytes": "minimize"}


@pytest.mark.parametrize(
    ("objective", "check"),
    [
        (
            {"robust_accuracy": {"direction": "maximize", "attack": "bim", "steps": 4}},
            AttackConfig("bim", steps=4, samples=50),
        ),
        (
            {"robust_accuracy": {"direction": "maximize", "restarts": 5, "samples": 20}},
            AttackConfig("pgd", samples=20),
        ),
        (
            {"robust_accuracy_l2": {"direction": "maximize", "attack": "apgd", "norm": "l2"}},
            AttackConfig("pgd", norm="l2", samples=50),
        ),
        ({"deepfool_perturbation": "maximize"}, AttackConfig("pgd", samples=50)),
    ],
)
def test_gradients_are_checked_where_robustness_is_an_objective(
    objective: Any, check: AttackConfig
) -> None:
    spec = make_spec(objectives={**ROBUST, **objective}, front_measures=STRONG)
    names = ("robust_accuracy_strong", "masked_gradient_signs_quick")
    assert tuple(spec.front_attacks) == names
    assert spec.front_attacks[names[1]] == check
    found = trial(0, **dict.fromkeys(objective, 0.5))
    assert front_jobs([found], spec)[0].measures == names
    # Whoever asks for the check has it as it is asked for; whoever measures alone has none.
    asked = {"masked_gradient_signs": {"attack": "bim", "samples": 100}}
    assert tuple(
        make_spec(objectives={**ROBUST, **objective}, front_measures=asked).front_attacks
    ) == ("masked_gradient_signs",)
    assert make_spec(measures={"robust_accuracy_eps2": {}}).front_attacks == {}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))
    store = open_store()
    yield store
    store.close()


ATTACK = {"attack": "bim", "epsilon": 0.1, "steps": 2, "samples": 24}
ADDED = {
    "robust_accuracy_strong": ATTACK,
    "robust_accuracy_of_reference": ATTACK,
    "masked_gradient_signs": ATTACK,
}
SMALL: dict[str, Any] = {
    "data": {"name": "digits", "limit": 400},
    "training": {"epochs": 1},
    "measures": {"robust_accuracy_eps2": {"attack": "fgsm", "samples": 20}},
    "budget": {"trials": 2},
}


@pytest.mark.slow
def test_a_front_of_robust_networks_says_whether_their_gradients_are_of_use(
    store: Store,
) -> None:
    robust = {"robust_accuracy": {"direction": "maximize", **ATTACK}}
    run(make_spec(**SMALL, objectives={**ROBUST, **robust}), store=store, executor=InlineExecutor)
    sweep = open_sweep("a", store)
    front = {member.trial for member in sweep.front()}
    assert front
    for each in sweep.trials():
        assert ("masked_gradient_signs_quick" in each.values) == (each.number in front)
        if each.number in front:
            signs = signs_of(each)["masked_gradient_signs_quick"]
            assert len(signs) == each.values["masked_gradient_signs_quick"]


class Listener(Silent):
    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


@pytest.mark.slow
def test_measures_are_added_to_a_finished_sweep_and_can_be_asked_for(store: Store) -> None:
    run(make_spec(**SMALL), store=store, executor=InlineExecutor)
    assert all("robust_accuracy_eps2" in each.values for each in open_sweep("a", store).trials())
    listener, again = Listener(), Listener()
    changed = make_spec(**SMALL, reference=True, front_measures=ADDED)
    run(changed, store=store, executor=InlineExecutor, progress=listener)
    sweep = open_sweep("a", store)
    front = {member.trial for member in sweep.front()}
    full = sweep.reference.first
    for each in sweep.trials():
        measured = ADDED.keys() <= each.values.keys()
        assert measured == (each.number in front or each.is_reference)
    assert "test_robust_accuracy_eps2" in full.values
    assert not [name for name in full.values if name.startswith("test_") and name[5:] in ADDED]
    outcomes = outcomes_of(full, "robust_accuracy_strong")
    assert outcomes.right.mean() == full.values["robust_accuracy_strong"]
    signs = signs_of(full)["masked_gradient_signs"]
    assert len(signs) == full.values["masked_gradient_signs"]
    assert all(any(sign in text for text in listener.told) for sign in signs)
    asked = sweep.front(["memory_bytes", "robust_accuracy_strong", "masked_gradient_signs"])
    assert "robust_accuracy_strong (maximize)" in map(str, asked.objectives)
    assert {member.trial for member in asked} <= {full.number, *front}
    picked = sweep.front().smallest(
        keep=["robust_accuracy_strong"], reference=sweep.reference, margin=0.99
    )
    assert picked.trial in front
    # Nothing is left to do.
    run(changed, store=store, executor=InlineExecutor, progress=again)
    assert again.told == []
    other = {**ADDED, "robust_accuracy_strong": {**ATTACK, "steps": 3}}
    with pytest.raises(UsageError, match="never share a name"):
        run(make_spec(**SMALL, reference=True, front_measures=other), store=store)
