"""The thread that keeps a driver's lease while its trials have nothing to write."""

import threading
from collections.abc import Callable, Iterator

import pytest

from orchestrator.driver import lease
from orchestrator.driver.lease import lease_kept
from orchestrator.errors import LeaseLostError, OrchestratorError

AWAY = OrchestratorError("The store at postgresql://x failed: the server is away.")
LONGEST_S = 30.0


class Renewals:
    """A writer whose renewals end as they are told to, the last one again and again.

    Each takes forty seconds of the clock that `lease_kept` looks at.
    """

    def __init__(self, *ends: Exception | str) -> None:
        self._ends = ends
        self.count = 0
        self.last = threading.Event()

    def monotonic(self) -> float:
        return 40.0 * self.count

    def renew(self) -> str:
        self.count += 1
        if self.count >= len(self._ends):
            self.last.set()
        end = self._ends[min(self.count, len(self._ends)) - 1]
        if isinstance(end, Exception):
            raise end
        return end


class Loop:
    """What the thread may tell a loop."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.was_told = threading.Event()

    def interrupt(self, reason: str) -> None:
        self.told.append(reason)
        self.was_told.set()

    def fail(self, error: OrchestratorError) -> None:
        self.told.append(error)
        self.was_told.set()


Keep = Callable[[Renewals, threading.Event], None]


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lease, "_LOOK_S", 0.01)
    monkeypatch.setattr(lease, "LEASE_S", 60.0)
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]


@pytest.fixture
def keep(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Keep:
    def keep(writer: Renewals, until: threading.Event) -> None:
        monkeypatch.setattr(lease, "time", writer)
        with lease_kept(writer, loop):  # type: ignore[arg-type]
            assert until.wait(LONGEST_S)

    return keep


def test_a_store_that_is_away_for_a_while_is_asked_again_and_the_run_goes_on(
    loop: Loop, keep: Keep
) -> None:
    writer = Renewals(AWAY, "", AWAY, "", AWAY, "")
    keep(writer, writer.last)
    assert writer.count >= 6
    assert loop.told == []


def test_a_store_that_is_away_for_longer_than_the_lease_ends_the_run_with_its_error(
    loop: Loop, keep: Keep
) -> None:
    writer = Renewals("", AWAY)
    keep(writer, loop.was_told)
    # 40 s and 80 s after the one that succeeded; the lease is 60 s.
    assert (writer.count, loop.told) == (3, [AWAY])


def test_a_lease_that_is_lost_interrupts_the_run_at_once(loop: Loop, keep: Keep) -> None:
    writer = Renewals(LeaseLostError("elsewhere drives it now"))
    keep(writer, loop.was_told)
    assert (writer.count, loop.told) == (1, ["elsewhere drives it now"])


def test_the_user_that_asks_the_driver_to_stop_is_named(loop: Loop, keep: Keep) -> None:
    keep(Renewals("", "anna"), loop.was_told)
    assert loop.told[0] == "stopped by anna"
