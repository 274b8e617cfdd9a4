"""What the contract cannot see: leases of dead processes, the clock, the file."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contracts import Outcome
from orchestrator.errors import LeaseHeldError, LeaseLostError, OrchestratorError
from orchestrator.storage import open_store, this_holder, upgrade
from orchestrator.storage.spec_differences import spec_differences
from orchestrator.storage.sql_store import SqlStore
from orchestrator.trials import SweepState, TrialState

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

_DRIVE = """
import sys
from orchestrator.storage import open_store, this_holder
store = open_store(sys.argv[1])
store.create_sweep("a", {}, "f")
writer = store.take("a", this_holder(), lease_s=3600)
writer.add_trial({"bits": 4}, seed=1)
writer.start_attempt(0, "w")
print("running", flush=True)
input()
"""


class Clock:
    """A clock that is set by hand."""

    now = _NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    upgrade(url)
    return url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[SqlStore]:
    store = SqlStore(url, clock=clock)
    store.create_sweep("a", {}, "f")
    yield store
    store.close()


@pytest.mark.slow
def test_a_killed_driver_loses_nothing_and_blocks_none(url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _DRIVE, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"running\n"
        store = open_store(url)
        with pytest.raises(LeaseHeldError, match=f":{driver.pid}:"):
            store.take("a", this_holder())
        driver.kill()
        driver.wait()
    writer = store.take("a", this_holder())
    assert store.trial("a", 0).params == {"bits": 4}
    assert writer.interrupt_running() == [0]
    store.close()


def test_a_lease_lasts_until_its_last_second(store: SqlStore, clock: Clock) -> None:
    first = store.take("a", "first", lease_s=60)
    clock.now = _NOON + timedelta(seconds=50)
    first.renew()
    clock.now = _NOON + timedelta(seconds=109.999)
    with pytest.raises(LeaseHeldError, match=r"since 2026-01-01 12:00:00 UTC.*ends at 12:01:50"):
        store.take("a", "second")
    clock.now = _NOON + timedelta(seconds=110)
    store.take("a", "second")
    with pytest.raises(LeaseLostError):
        first.renew()


def test_an_abandoned_attempt_ends_when_its_driver_was_last_heard(
    store: SqlStore, clock: Clock
) -> None:
    first = store.take("a", "first", lease_s=60)
    first.add_trial({"bits": 4}, seed=0)
    first.start_attempt(0, "here")
    clock.now = heard = _NOON + timedelta(hours=2)
    first.renew()
    clock.now = _NOON + timedelta(hours=9)
    assert store.take("a", "second").interrupt_running() == [0]
    (attempt,) = store.attempts("a", 0)
    assert (attempt.started, attempt.ended) == (_NOON, heard)


def test_a_clock_of_another_zone_tells_the_same_time(store: SqlStore, clock: Clock) -> None:
    clock.now = _NOON.astimezone(timezone(timedelta(hours=13)))
    created = store.take("a", "first").add_trial({}, seed=0).created
    assert created == _NOON
    assert created is not None
    assert created.tzinfo is UTC


def test_reading_does_not_wait_for_a_writer(store: SqlStore) -> None:
    writer = store.take("a", "first")
    with store._database.writing():
        assert store.trials("a") == []
    writer.add_trial({}, seed=0)


def test_what_is_read_is_of_one_moment(store: SqlStore) -> None:
    writer = store.take("a", "first")
    writer.add_trial({}, seed=0)
    with store._database.reading() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM trials").one()
        writer.add_trial({}, seed=0)
        assert connection.exec_driver_sql("SELECT count(*) FROM trials").scalar() == 1


def test_a_long_list_of_trials_is_read_in_two_queries(store: SqlStore) -> None:
    import sqlalchemy

    writer = store.take("a", "first")
    for number in range(20):
        writer.add_trial({}, seed=0)
        writer.start_attempt(number, "w")
        writer.finish_attempt(number, 0, Outcome(TrialState.COMPLETE, {"a": 1.0, "b": 2.0}))
    seen: list[str] = []
    engine = store._database._engine
    sqlalchemy.event.listen(
        engine, "before_cursor_execute", lambda c, cur, said, *rest: seen.append(said)
    )
    assert len(store.trials("a")) == 20
    assert sum("FROM trial" in said for said in seen) == 2


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"no database at all" * 1000)
    for create in (True, False):
        with pytest.raises(OrchestratorError, match=r"store\.db failed: file is not a database"):
            open_store(f"sqlite:///{path}", create=create)


def test_a_disk_error_in_mid_sweep_is_a_sentence(store: SqlStore, url: str) -> None:
    writer = store.take("a", "first")
    store.close()
    path = Path(url.removeprefix("sqlite:///"))
    for file in path.parent.iterdir():
        file.unlink()
    shutil.copyfile(__file__, path)
    with pytest.raises(OrchestratorError, match="Nothing of this step was stored"):
        writer.add_trial({}, seed=0)


def test_what_json_cannot_hold_is_the_callers_mistake(store: SqlStore) -> None:
    writer = store.take("a", "first")
    with pytest.raises(TypeError, match="set"):
        writer.add_trial({}, seed=0, sampler_attrs={"x": {1, 2}})
    assert store.trials("a") == []


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(attrs=st.dictionaries(st.text(), _JSON, max_size=4))
def test_json_comes_back_as_it_was(store: SqlStore, attrs: dict[str, object]) -> None:
    writer = store.take("a", "first", lease_s=0.0)
    number = writer.add_trial({}, seed=0, sampler_attrs=attrs).number
    assert repr(store.trial("a", number).sampler_attrs) == repr(attrs)


@pytest.mark.slow
@given(values=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)))
def test_values_come_back_exactly(store: SqlStore, values: dict[str, float]) -> None:
    writer = store.take("a", "first", lease_s=0.0)
    number = writer.add_trial({}, seed=0).number
    writer.start_attempt(number, "w")
    assert writer.finish_attempt(number, 0, Outcome(TrialState.COMPLETE, values)).values == values


def test_differences_name_what_was_and_what_is() -> None:
    old = {"space": {"bits": [2, 4], "gone": 1}, "same": 0, "empty": {}}
    new = {"space": {"bits": [2, 8]}, "same": 0, "new": None, "empty": {}}
    assert spec_differences(old, new) == [
        "space.bits was [2, 4], is [2, 8]",
        "space.gone was 1, is not given",
        "new was not given, is None",
    ]


def test_no_difference_is_cut() -> None:
    assert len(spec_differences({}, {str(n): n for n in range(99)})) == 99
    assert spec_differences({"a": 1}, {"a": 1}) == ["only its fingerprint differs"]


def test_nothing_ends_before_it_began_also_when_the_clock_is_put_back(
    store: SqlStore, clock: Clock
) -> None:
    writer = store.take("a", "first")
    clock.now = _NOON + timedelta(hours=9)
    for _ in range(2):
        writer.start_attempt(writer.add_trial({}, seed=0).number, "w")
    clock.now = _NOON - timedelta(hours=7)
    writer.finish_attempt(0, 0, Outcome(TrialState.COMPLETE, {"accuracy": 0.5}))
    assert writer.interrupt_running() == [1]
    writer.set_sweep_state(SweepState.COMPLETE)
    sweep, trial = store.sweep("a"), store.trial("a", 0)
    assert (trial.created, trial.ended) == (_NOON + timedelta(hours=9),) * 2
    assert store.attempts("a", 0)[0].ended == store.attempts("a", 0)[0].started
    assert store.attempts("a", 1)[0].ended == store.attempts("a", 1)[0].started
    assert (sweep.created, sweep.ended) == (_NOON, _NOON)
    # The lease goes by the clock as it is now, or it would last for sixteen hours.
    assert sweep.driver is not None
    assert sweep.driver.expires == clock.now + timedelta(seconds=60)
