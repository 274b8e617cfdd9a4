"""The front of columns is the front of trials."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.constraints import Constraint
from orchestrator.contracts import Outcome, Store
from orchestrator.fronts.filters import Filter
from orchestrator.fronts.front import Front, compute_front
from orchestrator.fronts.stored import Question, StoredTrials, stored_front
from orchestrator.objectives import Direction, Objective
from orchestrator.queries.sweeps import open_sweep, pareto_front
from orchestrator.storage import column_blocks as blocks
from orchestrator.storage import open_store, upgrade
from orchestrator.trials import Trial, TrialState

OBJECTIVES = (
    Objective("accuracy", Direction.MAXIMIZE),
    Objective("memory_bytes", Direction.MINIMIZE),
    Objective("odd", Direction.MAXIMIZE),
)
FACTS = {"a": {"backbone": "vgg16", "x": 1.0}, "b": {"backbone": "digitnet"}}
CONDITIONS = [
    "bits <= 4",
    "x > 1 and not (bias == true or bits == 2)",
    "x != 1",
    "x in [0, 2] or backbone == 'vgg16'",
    "bias == 1 or state == 'complete' and trial >= 3",
    "sweep == 'b' and x not in ['1', 2]",
    "accuracy >= 1 and memory_bytes < 3",
    "absent == 1 or absent != 1",
    "accuracy == 'big' or accuracy != 'big'",
    "0 <= x <= 2",
]


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "empty.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 4)


level = st.integers(0, 3).map(float)
values = st.fixed_dictionaries(
    {"accuracy": level},
    optional={"memory_bytes": level, "odd": level, "x": level, "test_accuracy": level},
)
params = st.fixed_dictionaries(
    {"bits": st.integers(2, 6)},
    optional={"x": st.sampled_from([1, True, "1", 2.0]), "bias": st.booleans()},
)
state = st.sampled_from([TrialState.COMPLETE] * 4 + [TrialState.STOPPED, TrialState.FAILED])
sweeps = st.lists(st.tuples(st.sampled_from("ab"), state, params, values), max_size=30)
limits = st.lists(
    st.builds(
        Constraint,
        st.sampled_from(["memory_bytes", "odd", "absent"]),
        st.sampled_from(["<=", ">="]),
        st.sampled_from([0.0, 1.0, 2.0, -1.0]),
    ),
    max_size=2,
)


def filled(path: Path, trials) -> Store:
    """A store with these trials, in blocks as far as they fill some."""
    store = open_store(f"sqlite:///{path}")
    for name in "ab":
        store.create_sweep(name, {}, "f")
        writer = store.take(name, "first")
        for _, end, chosen, measured in (each for each in trials if each[0] == name):
            number = writer.add_trial(chosen, seed=0).number
            writer.start_attempt(number, "w")
            writer.finish_attempt(number, 0, Outcome(end, measured))
        writer.release()
    return store


def plain(store: Store, question: Question) -> Front:
    """The same question, answered from whole trials, one row at a time."""
    everything = [trial for name in "ab" for trial in store.trials(name)]
    trials = everything
    if question.any_of:
        trials = [trial for trial in trials if question.any_of & trial.values.keys()]
    if question.condition is not None:
        trials = [trial for trial in trials if question.condition.keep(row(trial))]
    limits = question.constraints
    return compute_front(trials, question.objectives, limits, trained=everything)


def row(trial: Trial) -> dict[str, object]:
    own = {"sweep": trial.sweep, "trial": trial.number, "state": trial.state.value}
    return {**FACTS[trial.sweep], **own, **trial.values, **trial.params}


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    sweeps,
    st.integers(1, 3),
    limits,
    st.none() | st.sampled_from(CONDITIONS),
    st.sampled_from([frozenset(), frozenset({"test_accuracy"})]),
)
def test_columns_and_trials_give_the_same_front(
    tmp_path, empty_file, trials, count, constraints, where, any_of
) -> None:
    path = Path(shutil.copy(empty_file, tmp_path / "store.db"))
    store = filled(path, trials)
    condition = None if where is None else Filter.parse(where)
    question = Question(OBJECTIVES[:count], constraints, condition, any_of)
    found, expected = stored_front(store, FACTS, question), plain(store, question)
    assert found == expected
    assert (len(found.others), len(found.competitors)) == (
        len(expected.others),
        len(expected.competitors),
    )
    assert list(found.competitors) == list(expected.competitors)
    assert repr(found) == repr(expected)
    assert found.hypervolume() == expected.hypervolume()
    store.close()


numbers = st.lists(st.sampled_from([math.nan, -1.0, 0.0, 1.0, 2.0, 0.1 + 0.2, math.inf]))


@given(numbers, st.sampled_from([each for each in CONDITIONS if "x" in each]))
@pytest.mark.slow
def test_a_condition_on_numbers_side_by_side_is_that_on_each_row(column, text) -> None:
    condition = Filter.parse(text)
    found = condition.mask(
        lambda name: np.array(column if name == "x" else [math.nan] * len(column))
    )
    rows = [{} if math.isnan(value) else {"x": value} for value in column]
    assert found.tolist() == [condition.keep(each) for each in rows]


@pytest.fixture
def watched(tmp_path, empty_file) -> Iterator[tuple[Store, list[str]]]:
    """A store, and the reads from its table of trials since it was filled."""
    path = Path(shutil.copy(empty_file, tmp_path / "store.db"))
    trials = [
        ("a", TrialState.COMPLETE, {"bits": n}, {"accuracy": float(n), "memory_bytes": float(n)})
        for n in range(8)
    ]
    store = filled(path, trials)
    reads: list[str] = []
    engine = sqlalchemy.engine.Engine

    def note(connection, cursor, statement, *_) -> None:
        if "artifact_path" in statement:
            reads.append(statement)

    sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    yield store, reads
    sqlalchemy.event.remove(engine, "before_cursor_execute", note)
    store.close()


def test_a_member_that_is_not_shown_is_read_when_it_is_asked_for(watched) -> None:
    store, reads = watched
    limit = Constraint("memory_bytes", "<=", 2.0)
    front = stored_front(store, FACTS, Question(OBJECTIVES[:1], [limit]))
    assert [member.trial for member in front] == [2]
    assert len(reads) == 2  # the members of each sweep
    assert (len(front.others), len(front.competitors)) == (7, 3)
    assert len(reads) == 2
    assert isinstance(front.competitors, StoredTrials)
    assert [trial.number for trial in front.competitors] == [0, 1, 2]
    assert [trial.number for trial in front.competitors[1:]] == [1, 2]
    assert len(reads) == 4


def test_a_sweep_asks_its_store_for_columns(watched) -> None:
    store, reads = watched
    spec = {"objectives": {"accuracy": "maximize"}, "space": {"bits": [1, 2]}}
    writer = store.take("a", "second")
    writer.set_spec(spec)
    front = open_sweep("a", store).front(["accuracy"], where="bits <= 4 and memory_bytes >= 1")
    assert [member.trial for member in front] == [4]
    assert len(front.others) == 3
    assert len(reads) == 1
    assert front == pareto_front("a", where="bits <= 4 and memory_bytes >= 1", store=store)
