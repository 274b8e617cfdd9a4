"""The page of a sweep whose store is a server, to which a driver writes elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.pages.board import Board
from orchestrator.pages.choosing import choose
from orchestrator.queries.sweeps import Sweep
from orchestrator.storage import open_store
from orchestrator.trials import ChoiceKind
from tests.orchestrator.pages.conftest import SPEC, SWEEP, Driver
from tests.orchestrator.storage.conftest import postgres

__all__ = ["postgres"]

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_changes_on_a_server_arrive(
    postgres: str, home: Path, new_driver: Callable[..., Driver]
) -> None:
    store = open_store(postgres, create=True)
    store.create_sweep(SWEEP, SPEC, "f")
    driver = Driver(store, home / "packed", store.take(SWEEP, "node-0:1:1"))
    driver.start(epochs=1)
    board = Board(Sweep(SWEEP, open_store(postgres, create=False)))
    board.refresh()
    first = board.since(0)
    assert first["columns"]["state"] == ["running"]
    driver.complete(0, 0.9, 9_000)
    assert choose(board.sweep, 0, ChoiceKind.PICKED, "ünïcode").note == "ünïcode"
    board.look_again()
    board.refresh()
    later = board.since(first["version"], first["served"])
    assert [(row["trial"], row["state"]) for row in later["rows"]] == [(0, "complete")]
    assert [choice["note"] for choice in later["choices"]] == ["ünïcode"]
    store.close()
    board.sweep.store.close()
