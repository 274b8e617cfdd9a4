"""Who waits for whom before a worker is reused."""

import threading
import uuid
from collections.abc import Callable

import pytest

from orchestrator.contracts import Decision, Job, Outcome
from orchestrator.execution.gate import WorkerGate
from orchestrator.execution.ray_adapters import RunningJobs

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

LONG = 1e6


def gate(slots: int, timeout_s: float = LONG) -> WorkerGate:
    return WorkerGate(uuid.uuid4().hex, slots, timeout_s)


def lets_through(waiting: WorkerGate, then: Callable[[], object]) -> bool:
    """Whether the gate holds a worker back, and `then` lets it through."""
    thread = threading.Thread(target=waiting.wait, daemon=True)
    thread.start()
    thread.join(0.2)
    held = thread.is_alive()
    then()
    thread.join(30)
    return held and not thread.is_alive()


def test_a_worker_waits_for_the_others() -> None:
    two = gate(2)
    two.arrive("a")
    two.arrive("a")  # again: still one worker
    assert lets_through(two, lambda: two.arrive("b"))
    two.wait()


def test_a_worker_that_died_is_waited_for_again() -> None:
    two = gate(2)
    two.arrive("a")
    two.arrive("b")
    two.leave("b")
    two.leave("never there")
    assert lets_through(two, lambda: two.arrive("c"))


def test_one_slot_waits_for_nobody() -> None:
    one = gate(1)
    one.arrive("a")
    one.wait()


def test_runs_know_nothing_of_one_another() -> None:
    first, second = gate(2), gate(1)
    first.arrive("a")
    second.arrive("a")
    assert lets_through(first, lambda: first.arrive("b"))
    second.wait()


def test_the_wait_is_over_once_and_for_all_after_its_timeout() -> None:
    two = gate(2, timeout_s=0.05)
    two.arrive("a")
    two.wait()
    WorkerGate(two.run, 2, LONG).wait()


def test_a_run_that_is_over_leaves_nothing() -> None:
    two = gate(2)
    two.arrive("a")
    two.open()
    two.close()
    assert lets_through(two, two.open)
    two.close()


class Empty:
    """A source of nothing."""

    must_stop = False

    def next_job(self) -> Job | None:
        return None

    def started(self, job: Job) -> None: ...

    def reported(self, job: Job, reports: object) -> Decision:
        return Decision.CONTINUE

    def ended(self, job: Job, outcome: Outcome) -> None: ...


def test_nobody_waits_for_a_worker_that_has_nothing_to_do() -> None:
    two = gate(2)
    two.arrive("a")
    jobs = RunningJobs(Empty(), 2, two)
    assert lets_through(two, lambda: jobs.start("x"))
