"""Siblings: which configurations share a training, and when they are tried."""

import io
import json
import random
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.contracts import Job, Outcome
from orchestrator.reporting.records import trial_details
from orchestrator.reporting.trial_page import trial_page
from orchestrator.search.siblings import MAX_SIBLINGS, siblings
from orchestrator.tracking.run_content import attempt_content
from orchestrator.trials import Failure, FailureKind, Params, Trial, TrialState
from search_spaces import load_space, parse_space
from search_spaces.library import library_names
from tests.orchestrator import driving
from tests.orchestrator.driving import Driver, complete
from trainers.config import TrialConfig, with_params
from trainers.stages.keys import training_key

store, drive = driving.store, driving.drive

FIXED = TrialConfig(backbone="digitnet", weights="scratch", widths=(8,))
SPACE: dict[str, Any] = {
    "fc_width_1": {"type": "choice", "values": [4, 8, 16]},
    "bits": {"type": "choice", "values": [3, 4, 8]},
}
CHOICES: dict[str, list[Any]] = {
    "fc_width_1": [4, 8],
    "bits": [3, 4, 32],
    "fc_bits": [4, 8],
    "quantizer": ["symmetric", "entropy"],
    "scope": ["channel", "global"],
    "bits_2": [2, 8],
    "qat": ["none", "absmax"],
    "dropout": [0.0, 0.5],
}


def key(params: Params) -> str:
    return json.dumps(sorted(params.items()))


def listed(space: Any, params: Params, fixed: TrialConfig = FIXED) -> list[dict[str, Any]]:
    return list(siblings(parse_space(space), fixed, params))


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(CHOICES)), min_size=1, max_size=5, unique=True))
    space: dict[str, Any] = {
        name: {"type": "choice", "values": draw(st.permutations(CHOICES[name]))} for name in names
    }
    if "quantizer" in space and draw(st.booleans()):
        space["rate_weight"] = {
            "type": "float",
            "low": 0.0,
            "high": 1.0,
            "step": 0.5,
            "when": "quantizer == 'entropy'",
        }
    return space


@pytest.mark.slow
@given(spaces(), st.randoms(use_true_random=False))
def test_siblings_are_all_other_configurations_with_the_same_training(
    mapping: dict[str, Any], rng: Any
) -> None:
    def trainable() -> Iterator[dict[str, Any]]:
        for params in space.grid():
            try:
                with_params(FIXED, params, seed=0)
            except ValueError:  # qat with a quantizer that it does not take
                continue
            yield params

    def training(params: Params) -> str:
        return training_key(with_params(FIXED, params, seed=0))

    space = parse_space(mapping)
    every = list(trainable())
    if not every:
        return
    params = rng.choice(every)
    found = list(siblings(space, FIXED, params))
    for other in found:
        space.check(other)
    expected = {key(p) for p in every if training(p) == training(params)} - {key(params)}
    assert {key(other) for other in found} == expected
    assert len(found) == len(expected)
    distances = [len(set(other.items()) - set(params.items())) for other in found]
    assert distances == sorted(distances)


def test_a_number_in_a_range_keeps_its_value() -> None:
    space = {"rate_weight": {"type": "float", "low": 0, "high": 9}, **SPACE}
    found = listed(space, {"fc_width_1": 4, "bits": 3, "rate_weight": 0.7})
    assert [other["bits"] for other in found] == [4, 8]
    assert {other["rate_weight"] for other in found} == {0.7}


def test_what_would_need_a_number_that_the_training_does_not_have_is_no_sibling() -> None:
    space = {
        "quantizer": {"type": "choice", "values": ["symmetric", "entropy"]},
        "rate_weight": {"type": "float", "low": 0, "high": 9, "when": "quantizer == 'entropy'"},
    }
    assert listed(space, {"quantizer": "symmetric"}) == []
    assert listed(space, {"quantizer": "entropy", "rate_weight": 1.0}) == [
        {"quantizer": "symmetric"}
    ]


@pytest.mark.parametrize("name", library_names())
def test_every_shipped_space_has_siblings_without_waiting(name: str) -> None:
    space = load_space(name)
    params = space.sample(random.Random(0))
    found = list(islice(siblings(space, FIXED, params), MAX_SIBLINGS))
    assert (found != []) == ("bits" in space.domains or "quantizer" in space.domains)


def test_a_space_of_two_hundred_layers_is_not_listed_to_its_end() -> None:
    layers = {f"bits_{n}": {"type": "choice", "values": [2, 4, 8]} for n in range(1, 201)}
    params = dict.fromkeys(layers, 4)
    found = list(islice(siblings(parse_space(layers), FIXED, params), MAX_SIBLINGS))
    assert len(found) == MAX_SIBLINGS
    assert found[0] == params | {"bits_1": 2}


def tried(trials: list[Trial]) -> list[tuple[Any, ...]]:
    return [(t.params["fc_width_1"], t.params["bits"], t.replicate, t.origin) for t in trials]


Drive = Callable[..., Driver]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random", "tpe", "nsga2", "grid"])
def test_a_complete_trial_brings_its_siblings_before_the_sampler_is_asked(
    drive: Drive, kind: str
) -> None:
    driver = drive(space=SPACE, sampler={"kind": kind}, budget={"trials": 30})
    jobs = driver.run()
    trials = list(driver.loop.trials)
    assert [trial.origin for trial in trials] == [None, 0, 0, None, 3, 3, None, 6, 6]
    assert [job.origin for job in jobs] == [trial.origin for trial in trials]
    assert len({key(trial.params) for trial in trials}) == 9
    assert len(driver.sampler.suggested) == 3
    assert driver.loop.stop_reason == "every configuration of the space was tried"


@pytest.mark.slow
@pytest.mark.parametrize(
    "execution", [{"siblings": False}, {"cache": "off"}, {"cache": "off", "siblings": True}]
)
def test_without_a_cache_or_without_the_wish_the_sampler_decides_alone(
    drive: Drive, execution: Mapping[str, Any]
) -> None:
    driver = drive(space=SPACE, execution=execution, budget={"trials": 9})
    driver.run()
    assert len(driver.sampler.suggested) == 9
    assert {trial.origin for trial in driver.loop.trials} == {None}


def test_of_the_siblings_that_wait_the_most_promising_one_comes_first(drive: Drive) -> None:
    def outcome(job: Job) -> Outcome:
        bits, width = job.config.bits, job.config.widths[0]
        return complete(accuracy=0.1 if bits == 2 else 0.9, memory_bytes=100.0 * width + bits)

    space = {**SPACE, "bits": {"type": "choice", "values": [8, 2, 4]}}
    driver = drive(space=space, sampler={"kind": "grid"}, budget={"trials": 9})
    driver.run(outcome)
    bits = [trial.params["bits"] for trial in driver.loop.trials]
    # Of the first training nothing is known about 2 and 4: the order of the space.
    assert bits == [8, 2, 4, 8, 4, 2, 8, 4, 2]


def test_siblings_count_in_the_budget(drive: Drive) -> None:
    driver = drive(space=SPACE, budget={"trials": 2}, execution={"siblings": True})
    driver.run()
    assert [trial.origin for trial in driver.loop.trials] == [None, 0]


@pytest.mark.parametrize(("trials", "origin"), [(2, None), (3, 0)])
def test_by_default_there_are_siblings_where_a_quarter_of_the_space_is_tried(
    drive: Drive, trials: int, origin: int | None
) -> None:
    driver = drive(space=SPACE, budget={"trials": trials})
    driver.run()
    assert [trial.origin for trial in driver.loop.trials][:2] == [None, origin]


def test_by_default_a_space_without_end_has_no_siblings(drive: Drive) -> None:
    endless = {**SPACE, "learning_rate": {"type": "float", "low": 0.001, "high": 0.1}}
    driver = drive(space=endless, budget={"trials": 9})
    driver.run()
    assert {trial.origin for trial in driver.loop.trials} == {None}


@pytest.mark.slow
@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(TrialState.STOPPED),
        Outcome(TrialState.FAILED, failure=Failure(FailureKind.DIVERGED, "it did")),
        Outcome(TrialState.COMPLETE, {"accuracy": float("nan"), "memory_bytes": 1.0}),
    ],
)
def test_only_a_complete_trial_has_siblings(drive: Drive, outcome: Outcome) -> None:
    driver = drive(space=SPACE, budget={"trials": 4})
    driver.run(lambda job: outcome)
    assert {trial.origin for trial in driver.loop.trials} == {None}


def test_a_driver_that_died_before_the_siblings_were_stored_proposes_them_again(
    drive: Drive,
) -> None:
    changes = {"space": SPACE, "sampler": {"kind": "random"}, "budget": {"trials": 30}}
    first = drive(**changes)
    job = first.start()
    assert job is not None
    first.loop.ended(job, complete())
    sibling = first.start()
    assert sibling is not None
    # Dead: of two siblings one is stored and running, the other one is not stored.
    second = drive(**changes)
    jobs = second.run()
    trials = list(second.loop.trials)
    assert [job.trial for job in jobs[:2]] == [1, 2]
    assert [trial.origin for trial in trials] == [None, 0, 0, None, 3, 3, None, 6, 6]
    assert len({key(trial.params) for trial in trials}) == 9


def test_each_replicate_of_a_sibling_shares_the_training_of_its_seed(drive: Drive) -> None:
    changes = {"space": SPACE, "replicates": 2, "budget": {"trials": 30}}
    first = drive(**changes)
    for _ in range(3):
        job = first.start()
        assert job is not None
        first.loop.ended(job, complete())
    # Dead after the first replicate of the first sibling.
    second = drive(**changes)
    second.run()
    trials = list(second.loop.trials)
    assert [(trial.replicate, trial.origin) for trial in trials[:6]] == [
        (0, None),
        (1, None),
        (0, 0),
        (1, 1),
        (0, 0),
        (1, 1),
    ]
    assert len(trials) == 18
    for trial in trials:
        if trial.origin is not None:
            origin = trials[trial.origin]
            assert (trial.seed, trial.replicate) == (origin.seed, origin.replicate)
            assert trial.params["fc_width_1"] == origin.params["fc_width_1"]
    assert len({(key(trial.params), trial.replicate) for trial in trials}) == 18


def test_siblings_wait_for_all_replicates_of_their_origin(drive: Drive) -> None:
    driver = drive(space=SPACE, replicates=2, budget={"trials": 6})
    failure = Outcome(TrialState.FAILED, failure=Failure(FailureKind.DIVERGED, "it did"))
    driver.run(lambda job: failure if job.trial == 1 else complete())
    origins = [trial.origin for trial in driver.loop.trials]
    assert origins == [None, None, None, None, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random", "tpe", "nsga2", "grid"])
def test_no_training_is_begun_while_it_is_under_way(drive: Drive, kind: str) -> None:
    driver = drive(space=SPACE, sampler={"kind": kind}, budget={"trials": 30})
    jobs = [job for job in (driver.start() for _ in range(3)) if job is not None]
    assert {tuple(job.config.widths) for job in jobs} == {(4,), (8,), (16,)}
    for job in jobs:
        driver.loop.ended(job, complete())
    driver.run()
    assert len({key(trial.params) for trial in driver.loop.trials}) == 9
    assert len(driver.loop.trials) == 9


def test_a_training_that_failed_gives_back_what_waited_for_it(drive: Drive) -> None:
    driver = drive(space=SPACE, sampler={"kind": "grid"}, budget={"trials": 30})
    jobs = [job for job in (driver.start() for _ in range(3)) if job is not None]
    failure = Outcome(TrialState.FAILED, failure=Failure(FailureKind.ERROR, "it did"))
    for job in jobs:
        driver.loop.ended(job, failure)
    driver.run(lambda job: failure)
    assert len({key(trial.params) for trial in driver.loop.trials}) == 9
    assert {trial.origin for trial in driver.loop.trials} == {None}


def test_where_there_is_nothing_else_a_training_is_begun_twice(drive: Drive) -> None:
    space = {"bits": {"type": "int", "low": 2, "high": 8}}
    driver = drive(space=space, head={"widths": [8]}, budget={"trials": 30})
    jobs = [job for job in (driver.start(), driver.start()) if job is not None]
    assert len(jobs) == 2
    for job in jobs:
        driver.loop.ended(job, complete())
    driver.run()
    trials = list(driver.loop.trials)
    assert len({trial.params["bits"] for trial in trials}) == len(trials) == 7


def test_siblings_that_cannot_meet_a_constraint_are_not_tried(drive: Drive) -> None:
    def known(params: Params) -> dict[str, float]:
        return {"memory_bytes": 100.0 * float(params["bits"])}

    limits = {"constraints": ["memory_bytes <= 400"]}
    driver = drive(space=SPACE, known=known, budget={"trials": 30}, **limits)
    driver.run(lambda job: complete(memory_bytes=1.0))
    assert {trial.params["bits"] for trial in driver.loop.trials} == {3, 4}
    assert len(driver.loop.trials) == 6


def test_siblings_that_change_nothing_do_not_end_the_search(drive: Drive) -> None:
    def outcome(job: Job) -> Outcome:
        return complete(accuracy=1 - job.trial / 100)

    driver = drive(space=SPACE, budget={"trials": 30, "plateau": 2})
    driver.run(outcome)
    assert [trial.origin for trial in driver.loop.trials] == [None, 0, 0, None, 3, 3, None]
    assert driver.loop.stop_reason == "2 trials in a row did not change the front"


def test_a_page_and_a_run_name_the_origin(drive: Drive) -> None:
    driver = drive(space=SPACE, budget={"trials": 2}, execution={"siblings": True})
    driver.run()
    origin, sibling = driver.loop.trials
    pages, tags = [], []
    for trial in (origin, sibling):
        attempts = driver.store.attempts("a", trial.number)
        console = Console(width=100, file=io.StringIO(), record=True)
        console.print(trial_page(trial, attempts, [], with_traceback=False))
        pages.append(console.export_text().splitlines()[0])
        content = attempt_content(driver.store.sweep("a"), trial, attempts[0], [])
        tags.append(content.tags.get("paretune.origin"))
    assert "origin" not in pages[0]
    assert pages[1].endswith("origin: trial 0, same training")
    assert tags == [None, "0"]
    assert [trial_details(t, [], [])["origin"] for t in (origin, sibling)] == [None, 0]


def test_the_reference_has_no_siblings(drive: Drive, tmp_path: Path) -> None:
    driver = drive(space=SPACE, reference=True, budget={"trials": 3})
    driver.run()
    first, *others = driver.loop.trials
    assert first.is_reference
    assert [trial.origin for trial in others] == [None, 1]
