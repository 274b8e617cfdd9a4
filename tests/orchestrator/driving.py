"""A sweep's loop on a real store and a real sampler, in which the test plays the executor."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import (
    Job,
    KnownValues,
    Outcome,
    Sampler,
    Silent,
    Store,
    Suggestion,
    nothing_known,
)
from orchestrator.driver.loop import Parts, SweepLoop
from orchestrator.sampling import build_sampler
from orchestrator.scheduling.fifo import Fifo
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.trials import Report, Trial, TrialState
from search_spaces import load_space, parse_space

SMOKE = load_space("smoke").as_mapping()
WIDE = parse_space({"fc_width_1": {"type": "int", "low": 1, "high": 512}}).as_mapping()
WIDE_FLOAT = parse_space(
    {"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2}}
).as_mapping()


def make_spec(**changes: Any) -> SweepSpec:
    given: dict[str, Any] = {
        "name": "a",
        "backbone": {"name": "digitnet", "weights": "scratch"},
        "data": {"name": "digits"},
        "space": WIDE,
        "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
        "sampler": {"kind": "random"},
        "budget": {"trials": 4},
        "seed": 10,
    }
    return SweepSpec.model_validate({**given, **changes})


def complete(accuracy: float = 0.5, memory_bytes: float = 1000.0) -> Outcome:
    return Outcome(TrialState.COMPLETE, {"accuracy": accuracy, "memory_bytes": memory_bytes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(f"sqlite:///{tmp_path / 'sweeps.db'}")
    yield store
    store.close()


@dataclass
class Watcher(Silent):
    """Looks into the store at each event: what it is told must stand there already."""

    store: Store
    told: list[tuple[str, int]] = field(default_factory=list)

    def trial_started(self, trial: Trial) -> None:
        assert self.store.trial("a", trial.number).state is trial.state is TrialState.RUNNING
        self.told.append(("started", trial.number))

    def trial_reported(self, trial: int, report: Report) -> None:
        assert report in self.store.reports("a", trial)
        self.told.append(("reported", trial))

    def trial_ended(self, trial: Trial) -> None:
        assert self.store.trial("a", trial.number) == trial
        self.told.append(("ended", trial.number))


@dataclass
class WatchedSampler:
    """A sampler that sees nothing which is not stored."""

    inner: Sampler
    store: Store
    suggested: list[Suggestion] = field(default_factory=list)

    def suggest(self) -> Suggestion | None:
        suggestion = self.inner.suggest()
        if suggestion is not None:
            self.suggested.append(suggestion)
        return suggestion

    @property
    def screened_out(self) -> int:
        return self.inner.screened_out

    def observe(self, trial: Trial) -> None:
        stored = self.store.trial("a", trial.number)
        # A reproducible sweep that is taken up repeats what came before the result.
        before = replace(stored, state=TrialState.WAITING, values={}, failure=None)
        assert trial in (stored, before)
        self.inner.observe(trial)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Driver:
    """A loop with what it was made of; another driver on the same store takes over."""

    store: Store
    folder: Path
    spec: SweepSpec
    scheduler: Any = field(default_factory=Fifo)
    clock: Clock = field(default_factory=Clock)
    known: KnownValues = nothing_known

    def __post_init__(self) -> None:
        spec = self.spec
        self.store.create_sweep("a", spec.model_dump(mode="json"), spec.fingerprint())
        self.writer = self.store.take("a", "nobody", lease_s=0.0)
        build = build_sampler(
            spec.sampler.kind,
            spec.search_space,
            spec.directed,
            spec.limits,
            spec.seed,
            self.known,
        )
        self.sampler = WatchedSampler(build, self.store)
        self.progress = Watcher(self.store)
        parts = Parts(
            self.store,
            self.writer,
            self.sampler,
            self.scheduler,
            self.progress,
            StateFolder(self.folder),
            "test",
            self.clock,
            self.known,
        )
        self.loop = SweepLoop(spec, parts)

    def start(self) -> Job | None:
        job = self.loop.next_job()
        if job is not None:
            self.loop.started(job)
        return job

    def run(self, outcome: Callable[[Job], Outcome] = lambda job: complete()) -> list[Job]:
        """One job after another, to the end."""
        jobs = []
        while (job := self.start()) is not None:
            self.loop.ended(job, outcome(job))
            jobs.append(job)
        return jobs


@pytest.fixture
def drive(store: Store, tmp_path: Path) -> Callable[..., Driver]:
    def build(
        *,
        scheduler: Any = None,
        clock: Clock | None = None,
        known: KnownValues = nothing_known,
        **changes: Any,
    ) -> Driver:
        spec = make_spec(**changes)
        return Driver(store, tmp_path, spec, scheduler or Fifo(), clock or Clock(), known)

    return build
