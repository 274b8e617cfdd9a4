"""A block is a copy: with and without it a store gives the same columns."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.columns import Columns
from orchestrator.contracts import Outcome, Store, SweepWriter
from orchestrator.storage import column_blocks as blocks
from orchestrator.storage import open_store, upgrade
from orchestrator.storage.tables import metadata
from orchestrator.testing.columns_contract import assert_same_as_trials, fill_columns
from orchestrator.trials import SweepState, TrialState

SMALL = 4


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", SMALL)


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "empty.db"
    upgrade(f"sqlite:///{path}")
    return path


def new_store(path: Path, empty_file: Path) -> Store:
    return open_store(f"sqlite:///{shutil.copy(empty_file, path)}")


@pytest.fixture
def store(tmp_path: Path, empty_file: Path) -> Iterator[Store]:
    store = new_store(tmp_path / "store.db", empty_file)
    yield store
    store.close()


@pytest.fixture
def writer(store: Store) -> SweepWriter:
    store.create_sweep("a", {}, "f")
    return store.take("a", "first")


def sealed(store: Store) -> list[int]:
    """Numbers of the first trials of all blocks."""
    engine = sqlalchemy.create_engine(store.url)
    with engine.begin() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT DISTINCT first FROM blocks"))
        found = sorted(first for (first,) in rows)
    engine.dispose()
    return found


def test_a_block_is_made_when_a_later_one_begins_or_the_sweep_ends(store, writer) -> None:
    fill_columns(writer, SMALL)
    assert sealed(store) == []
    fill_columns(writer, 2 * SMALL, first=SMALL)
    assert sealed(store) == [0, SMALL]
    writer.set_sweep_state(SweepState.RUNNING)
    assert sealed(store) == [0, SMALL]
    writer.set_sweep_state(SweepState.COMPLETE)
    assert sealed(store) == [0, SMALL, 2 * SMALL]
    assert_same_as_trials(store)


def test_trials_that_may_still_change_are_in_no_block(store, writer) -> None:
    writer.add_trial({"late": 1}, seed=0)
    fill_columns(writer, 2 * SMALL, first=1)
    assert sealed(store) == [SMALL]
    writer.start_attempt(0, "w")
    writer.finish_attempt(0, 0, Outcome(TrialState.COMPLETE, {"accuracy": 0.5}))
    writer.set_sweep_state(SweepState.COMPLETE)
    assert sealed(store) == [0, SMALL]
    assert_same_as_trials(store)


def test_a_value_added_later_is_in_the_columns_at_once(store, writer) -> None:
    fill_columns(writer, 2 * SMALL)
    writer.set_sweep_state(SweepState.COMPLETE)
    writer.add_values(1, {"accuracy": 0.99, "test_accuracy": 0.5})
    assert sealed(store) == [SMALL]
    assert_same_as_trials(store)
    writer.set_sweep_state(SweepState.COMPLETE)
    assert sealed(store) == [0, SMALL]
    assert_same_as_trials(store)


def test_a_sweep_from_before_there_were_blocks_is_read_from_rows(store, writer) -> None:
    fill_columns(writer, 3 * SMALL)
    engine = sqlalchemy.create_engine(store.url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DELETE FROM blocks"))
    engine.dispose()
    assert_same_as_trials(store)


steps = st.one_of(
    st.tuples(st.just("add"), st.just(0)),
    st.tuples(st.just("end"), st.integers(0, 5)),
    st.tuples(st.just("value"), st.integers(0, 20)),
    st.tuples(st.just("over"), st.just(0)),
)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(steps, max_size=40))
def test_whatever_happens_to_a_sweep_its_columns_hold_what_its_trials_do(
    tmp_path, empty_file, history
) -> None:
    store = new_store(tmp_path / "store.db", empty_file)
    store.create_sweep("a", {}, "f")
    writer = store.take("a", "first")
    unfinished: list[int] = []
    complete: list[int] = []
    for step, choice in history:
        if step == "add":
            number = writer.add_trial({"n": len(unfinished), "of": f"{choice}"}, seed=0).number
            writer.start_attempt(number, "w")
            unfinished.append(number)
        elif step == "end" and unfinished:
            number = unfinished.pop(choice % len(unfinished))
            state = TrialState.STOPPED if choice == 5 else TrialState.COMPLETE
            writer.finish_attempt(number, 0, Outcome(state, {"x": float(number)}))
            complete += [number] if state is TrialState.COMPLETE else []
        elif step == "value" and complete:
            writer.add_values(complete[choice % len(complete)], {"x": 0.5, "y": float(choice)})
        elif step == "over":
            writer.set_sweep_state(SweepState.INTERRUPTED)
    assert_same_as_trials(store)
    store.close()


@pytest.mark.postgres
def test_blocks_on_postgres_hold_what_trials_do(postgres) -> None:
    store = open_store(postgres)
    store.create_sweep("a", {}, "f")
    writer = store.take("a", "first")
    fill_columns(writer, 3 * SMALL)
    writer.set_sweep_state(SweepState.COMPLETE)
    assert_same_as_trials(store)
    writer.add_values(1, {"test_accuracy": 0.5})
    assert_same_as_trials(store)
    engine = sqlalchemy.create_engine(postgres)
    with engine.begin() as connection:
        count = connection.scalar(sqlalchemy.text("SELECT count(DISTINCT first) FROM blocks"))
        assert count == 2
        names = ", ".join(metadata.tables)
        connection.execute(sqlalchemy.text(f"TRUNCATE {names} RESTART IDENTITY"))
    engine.dispose()
    store.close()


def test_the_format_of_a_block_is_what_it_was() -> None:
    columns = Columns(np.array([0, 258]), {"x": np.array([0.1, np.nan])}, {"p": [True, None]})
    rows = [
        ("numbers", "", bytes.fromhex("00000000 02010000")),
        ("values", "x", bytes.fromhex("9a9999999999b93f 000000000000f87f")),
        ("params", "p", b"[true, null]"),
    ]
    assert list(blocks._packed(columns)) == rows
    again = blocks._unpacked(rows)
    assert again.numbers.tolist() == [0, 258]
    np.testing.assert_array_equal(again.values["x"], columns.values["x"])
    assert again.params == {"p": [True, None]}
