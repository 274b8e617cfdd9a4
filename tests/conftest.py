"""Fixtures and profiles that every test shares."""

import gc
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# Tests start some hundred processes. Where the environment forbids bytecode, each of them would
# compile all of our sources again, and pytest would rewrite every assertion in every run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Set before torch or Ray is imported anywhere: two threads a process on two cores oversubscribe.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray gives its workers the lowest priority but four (niceness 15): beside tests that compute they
# would hardly ever run, and the tests that wait for them would wait until the others had ended.
os.environ.setdefault("RAY_worker_niceness", "0")

# The same examples in every run: what a run finds must be the change's doing, not the day's.
settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    # A busy machine draws examples slowly; that is no fault of a test.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# HYPOTHESIS_PROFILE=long looks for new ones.
settings.register_profile(
    "long", parent=settings.get_profile("default"), max_examples=2_000, derandomize=False
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
if settings().derandomize:
    # Hypothesis also draws numbers and strings that it finds in those of our modules that are
    # imported by then: in another order of the tests, or in a worker of xdist, other examples.
    # A private function, for no setting turns it off.
    providers._get_local_constants = providers.Constants

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets and weights that is never committed."""
    folder = Path(os.environ.get("PARETUNE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the shared data folder, which is not at {folder}")
    return folder


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """Undo what a test sets on our loggers: a later test of this process would hear it."""
    ours = [logging.getLogger(name) for name in ("orchestrator", "trainers")]
    before = [(each.level, each.propagate, list(each.handlers)) for each in ours]
    yield
    for logger, (level, propagate, handlers) in zip(ours, before, strict=True):
        logger.setLevel(level)
        logger.propagate, logger.handlers = propagate, handlers


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without garbage collection, and never walk through what was collected.

    Modules and items stay until the end: walking through them again and again takes a third of
    the time of collecting, and later makes every full garbage collection a second long.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


# A test that uses one of these needs what the marker of `make quick` leaves out.
_NEEDS = {"shared_data": "shared_data", "ray_cluster": "ray"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by what its fixtures start or read."""
    for item in items:
        for fixture in _NEEDS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(_NEEDS[fixture])
