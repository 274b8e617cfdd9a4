"""A few faults of each kind, in every run of the tests; `make faults` makes more of them."""

from pathlib import Path

import pytest

from tests.faults.faults import FAULTS
from tests.faults.invariants import Values
from tests.faults.machine import broken, undisturbed
from tests.faults.testbed import FaultError

pytestmark = [pytest.mark.ray, pytest.mark.serial]

# Those that no other test makes: test_crash.py kills and interrupts drivers.
SHORT = ("worker_killed", "two_drivers", "postgres_killed")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Values:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("name", SHORT)
def test_after_a_fault_the_same_command_ends_the_sweep_as_if_nothing_had_been(
    name: str, tmp_path: Path, expected: Values
) -> None:
    try:
        found = broken(name, seed=0, folder=tmp_path, expected=expected)
    except FaultError as error:
        pytest.skip(f"cannot be made here: {error}")
    assert found == []


def test_every_fault_says_what_it_is() -> None:
    assert all(fault.__doc__ for fault in FAULTS.values())
