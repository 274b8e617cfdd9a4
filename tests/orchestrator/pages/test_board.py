"""What the page is told: everything once, then only what changed."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, insert

from orchestrator.errors import UnknownNameError
from orchestrator.pages.board import Board
from orchestrator.queries.sweeps import Sweep
from orchestrator.storage.tables import trial_values, trials
from orchestrator.trials import ChoiceKind, SweepState
from tests.browser import Tab
from tests.orchestrator.pages.conftest import Driver
from tests.orchestrator.pages.test_page import opened


@pytest.fixture
def board(driver: Driver) -> Board:
    board = Board(Sweep("digits-fc", driver.store))
    board.refresh()
    return board


def looked(board: Board) -> int:
    board.look_again()
    return board.refresh()


def test_the_first_answer_has_every_trial_with_what_it_has(board: Board, driver: Driver) -> None:
    found = board.since(0)
    columns = found["columns"]
    stored = driver.store.trials("digits-fc")
    assert columns["trial"] == [trial.number for trial in stored]
    assert columns["state"] == [trial.state.value for trial in stored]
    for kind in ("params", "values"):
        for at, trial in enumerate(stored):
            row = {name: column[at] for name, column in columns[kind].items()}
            assert {k: v for k, v in row.items() if v is not None} == getattr(trial, kind)
    assert found["front"] == [0, 1, 2]
    assert found["infeasible"] == [4]
    assert columns["why"] == {"5": "error: a tensor is <b>bad</b>"}


def test_a_later_answer_has_only_the_trials_that_changed(board: Board, driver: Driver) -> None:
    first = board.since(0)
    version, served = first["version"], first["served"]
    assert looked(board) == version  # nothing changed
    driver.complete(6, 0.98, 70_000)
    driver.start()
    assert looked(board) > version
    later = board.since(version, served)
    assert [(row["trial"], row["state"]) for row in later["rows"]] == [
        (6, "complete"),
        (7, "running"),
    ]
    assert later["front"] == [6, 0, 1, 2]
    # Versions of another server mean nothing to this one.
    assert "columns" in board.since(version, "another")
    assert "columns" in board.since(version + 99, served)


def test_values_that_a_sweep_adds_at_its_end_are_seen(board: Board, driver: Driver) -> None:
    first = board.since(0)
    driver.writer.add_values(1, {"test_accuracy": 0.5})
    driver.writer.set_sweep_state(SweepState.COMPLETE, "done")
    looked(board)
    later = board.since(first["version"], first["served"])
    assert [row["trial"] for row in later["rows"]] == [1]
    assert later["rows"][0]["values"]["test_accuracy"] == 0.5
    assert later["state"] == "complete"


def test_a_choice_made_elsewhere_is_seen(board: Board, driver: Driver) -> None:
    version = board.version
    driver.store.choose("digits-fc", 1, ChoiceKind.PICKED, note="why")
    assert looked(board) > version
    assert [(c["trial"], c["note"]) for c in board.since(0)["choices"]] == [(1, "why")]


def test_a_running_trial_says_how_long_it_will_take(board: Board) -> None:
    (run,) = board.since(0)["running"]
    assert (run["trial"], run["epoch"], run["epochs"]) == (6, 2, 4)
    assert run["left_s"] == pytest.approx(run["spent_s"])
    assert run["values"] == {"accuracy": pytest.approx(0.7), "loss": 0.5}


@pytest.mark.parametrize(
    "where",
    ["bits <= 6", "policy == 'none'", "state == 'failed'", "trial >= 5 or accuracy > 0.95"],
)
def test_a_condition_keeps_the_trials_that_the_command_line_lists(
    board: Board, driver: Driver, where: str
) -> None:
    sweep = Sweep("digits-fc", driver.store)
    found = board.matching(where)
    assert found["trials"] == [trial.number for trial in sweep.trials(where)]
    assert found["front"] == [member.trial for member in sweep.front(where=where)]


def test_a_condition_with_an_unknown_name_is_refused(board: Board) -> None:
    with pytest.raises(UnknownNameError, match="bitz"):
        board.matching("bitz <= 4")


def test_the_hypervolume_is_that_of_the_report(board: Board, driver: Driver) -> None:
    points = board.since(0)["volume"]
    assert points[-1][0] == 5
    front = Sweep("digits-fc", driver.store).front()
    assert points[-1][2] == pytest.approx(front.hypervolume())


@pytest.mark.slow
def test_ten_thousand_trials_are_shown(
    driver: Driver, serve: Callable[..., str], tab: Tab
) -> None:
    engine = create_engine(driver.store.url)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    numbers = range(7, 10_007)
    common = {"sweep_id": 1, "replicate": 0, "state": "complete", "attempts": 0}
    common |= {"sampler_attrs": {}, "created": now}
    with engine.begin() as connection:
        connection.execute(
            insert(trials),
            [
                {
                    **common,
                    "id": n + 1,
                    "number": n,
                    "seed": n,
                    "params": {"bits": n % 7 + 2, "lr": 0.1 / (n % 9 + 1), "policy": "all"},
                    "ended": now + timedelta(seconds=n),
                }
                for n in numbers
            ],
        )
        values = [
            {"trial_id": n + 1, "name": name, "value": value}
            for n in numbers
            for name, value in (
                ("accuracy", 0.6 + 0.3 * math.sin(n) ** 2),
                ("memory_bytes", 20_000.0 + n),
            )
        ]
        connection.execute(insert(trial_values), values)
    engine.dispose()
    opened(tab, serve(driver.store))
    tab.wait("document.querySelectorAll('.trials tbody tr').length === 50")
    assert "10,005 complete" in tab.text()
    assert "1 to 50 of 10,007" in tab.text()
    spent = tab.run(
        "performance.now() - performance.getEntriesByType('resource')"
        ".find((each) => each.name.includes('/api/board')).responseEnd"
    )
    assert spent > 0
    tab.type("#where", "bits == 4 and accuracy > 0.8")
    tab.click(".filter button[type=submit]")
    tab.wait("document.querySelector('#where-said').innerText.includes('of 10,007 trials')")
    assert tab.complaints() == []
