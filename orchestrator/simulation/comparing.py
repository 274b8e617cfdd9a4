"""Samplers and schedulers side by side: how fast each variant of a sweep finds a table's front."""

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from orchestrator.contracts import Silent, Store
from orchestrator.driver.running import run
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.pareto.dominance import Floats
from orchestrator.pareto.hypervolume import HypervolumeScale
from orchestrator.pareto.indicators import KnownFront, log_difference, mean_difference
from orchestrator.pareto.losses import feasible_losses, feasible_rows
from orchestrator.simulation.executor import SimulatedExecutor
from orchestrator.simulation.foreign import TableSweep
from orchestrator.simulation.lookup import TableLookup
from orchestrator.simulation.table import Recording, Table, shown
from orchestrator.spec.run_sections import TrackingSection
from orchestrator.spec.sharing import shares_trainings
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.trials import Trial, TrialState

REACHED = 0.99
"""Share of the whole table's hypervolume at which its front counts as found."""

# Configurations that are looked for in a table before the first trial; more would take seconds.
_MOST_CHECKED = 100_000


@dataclass(frozen=True, slots=True)
class SimulatedSweep:
    """How one simulated sweep went.

    Attributes:
        variant: Its name in the comparison.
        seed: Its seed.
        stopped: Trials stopped early.
        failed: Trials that failed.
        seconds: Simulated time until it ended.
        moments: Shape ``(complete,)``: simulated seconds at which trials were complete, ascending.
        volumes: Shape ``(complete,)``: hypervolume of the front after each of them, as a share of
            that of the whole table; both from the same reference point, behind all of the table.
        shares: Shape ``(complete,)``: the same, measured from close behind the table's front
            (`orchestrator.pareto.indicators`), which tells a search from chance.
        epsilon: How far the table's front was missed, in shares of its range.
    """

    variant: str
    seed: int
    stopped: int
    failed: int
    seconds: float
    moments: Floats
    volumes: Floats
    shares: Floats = field(default_factory=lambda: np.empty(0))
    epsilon: float = math.inf

    @property
    def complete(self) -> int:
        """Trials measured."""
        return len(self.moments)

    @property
    def volume(self) -> float:
        """The share of the table's hypervolume in the end."""
        return float(self.volumes[-1]) if len(self.volumes) else 0.0

    @property
    def share(self) -> float:
        """The share of the front's volume in the end."""
        return float(self.shares[-1]) if len(self.shares) else 0.0

    @property
    def mean_difference(self) -> float:
        """What the search lacked of the front's volume, on average over its time."""
        if not len(self.shares):
            return 1.0
        return mean_difference(self.moments, self.shares, self.seconds)

    def seconds_to(self, share: float = REACHED) -> float:
        """Return the simulated seconds to a share of the table's hypervolume; inf if unreached."""
        reached = np.flatnonzero(self.volumes >= share)
        return float(self.moments[reached[0]]) if len(reached) else math.inf

    def as_json(self) -> dict[str, object]:
        """Return the record that ``paretune simulate --format json`` prints."""
        return {
            "variant": self.variant,
            "seed": self.seed,
            "complete": self.complete,
            "stopped": self.stopped,
            "failed": self.failed,
            "seconds": self.seconds,
            "seconds_to_99": self.seconds_to(),
            "volume": self.volume,
            "front_share": self.share,
            "log_difference": log_difference(self.share),
            "mean_difference": self.mean_difference,
            "epsilon": self.epsilon,
        }


@dataclass(frozen=True, slots=True)
class Scale:
    """What hypervolumes of one comparison are measured by.

    Attributes:
        spec: Whose objectives and constraints count.
        measure: Behind all of the table.
        whole: The hypervolume of all that a sweep with this seed can find.
        front: The front of all that it can find.
    """

    spec: SweepSpec
    measure: HypervolumeScale
    whole: float
    front: KnownFront

    @classmethod
    def of(
        cls, spec: SweepSpec, table: Table, seed: int, measure: HypervolumeScale | None = None
    ) -> "Scale":
        """Compute the scale of a table.

        Args:
            spec: Whose objectives and constraints count.
            table: What was recorded.
            seed: Of the sweep.
            measure: That of another seed, which is the same and takes a while on a large table.

        Raises:
            UsageError: Nothing of it meets the constraints.
        """
        if measure is None:
            everything = [each.values for each in table.recordings]
            measure = HypervolumeScale.behind(feasible_rows(everything, spec.directed, ()))
        own = [each.values for each in table.of_seed(seed)]
        within = feasible_rows(own, spec.directed, spec.limits)
        whole = measure.volume(within[~np.isnan(within).any(axis=1)])
        if whole == 0:
            raise UsageError(
                f"No trial of {table.source} meets the constraints, so that there is no front to "
                f"be found: {', '.join(map(str, spec.limits))}."
            )
        return cls(spec, measure, whole, KnownFront.of(within))

    def losses(self, complete: Sequence[Trial]) -> Floats:
        """Compute the losses of trials; NaN for one that violates a constraint."""
        return feasible_losses(complete, self.spec.directed, self.spec.limits)

    def volumes(self, losses: Floats) -> Floats:
        """Compute the share of the whole hypervolume after each row, in order of their ends."""
        return self.measure.history(losses) / self.whole


def as_trials(recordings: Iterable[Recording]) -> list[Trial]:
    """Turn recordings into complete trials.

    >>> from orchestrator.simulation.table import Recording
    >>> [trial.params for trial in as_trials([Recording({"bits": 4}, 7, {"train_s": 60.0})])]
    [{'bits': 4}]
    """
    return [
        Trial("", number, each.params, each.seed, TrialState.COMPLETE, values=each.values)
        for number, each in enumerate(recordings)
    ]


def compare(
    variants: Mapping[str, SweepSpec], table: Table, *, seeds: Sequence[int], slots: int
) -> list[SimulatedSweep]:
    """Simulate each variant with each seed.

    Driver, sampler, scheduler and store are those of a real run; the store is in a temporary
    folder. Nothing is tracked and no reference is trained. Simulated time takes no real time.

    Args:
        variants: Sweeps by the names that results carry, with the same objectives and constraints.
        table: What trials do.
        seeds: Seeds of the sweeps, each instead of `SweepSpec.seed`.
        slots: How many trials run at once.

    Returns:
        By seed, then by variant.

    Raises:
        UsageError: The variants cannot be compared, or one of them cannot be run.
        OrchestratorError: The table lacks a configuration.
        KeyboardInterrupt: Ctrl-C or SIGTERM ended a sweep before its time.
    """
    for spec in variants.values():
        _check_space(spec, table)
    goals = {(spec.directed, spec.limits) for spec in variants.values()}
    if len(goals) != 1:
        raise UsageError("Variants are compared by their fronts, and so need the same objectives.")
    results: list[SimulatedSweep] = []
    measure: HypervolumeScale | None = None
    with (
        tempfile.TemporaryDirectory(prefix="paretune-simulated-") as folder,
        _store(folder) as store,
    ):
        for seed in seeds:
            scale = Scale.of(next(iter(variants.values())), table, seed, measure)
            measure = scale.measure
            for variant, spec in variants.items():
                name = f"simulated-{len(results)}"
                changed = {**_UNTRACKED, "name": name, "seed": seed}
                watch = _simulate(spec.model_copy(update=changed), table, slots, store, folder)
                results.append(watch.result(variant, seed, scale))
    return results


_UNTRACKED = {"tracking": TrackingSection(kind="none"), "reference": False, "front_measures": None}


@dataclass(slots=True)
class _Watch(Silent):
    """Notes when trials are complete, by the clock of the simulation."""

    clock: Callable[[], float]
    complete: list[Trial] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    ends: dict[int, TrialState] = field(default_factory=dict)

    def trial_ended(self, trial: Trial) -> None:
        # A stopped trial may be taken up, and end once more.
        self.ends[trial.number] = trial.state
        if trial.state is TrialState.COMPLETE:
            self.complete.append(trial)
            self.moments.append(self.clock())

    def result(self, variant: str, seed: int, scale: Scale) -> SimulatedSweep:
        ends, losses = Counter(self.ends.values()), scale.losses(self.complete)
        return SimulatedSweep(
            variant=variant,
            seed=seed,
            stopped=ends[TrialState.STOPPED],
            failed=ends[TrialState.FAILED],
            seconds=self.clock(),
            moments=np.array(self.moments),
            volumes=scale.volumes(losses),
            shares=scale.front.shares(losses),
            epsilon=scale.front.epsilon(losses),
        )


def _simulate(spec: SweepSpec, table: Table, slots: int, store: Store, folder: str) -> _Watch:
    if isinstance(spec, TableSweep):
        lookup = TableLookup(spec, table)
        executor = SimulatedExecutor(lookup, slots=slots, known=lookup.known)
    else:
        share = shares_trainings(spec)
        executor = SimulatedExecutor(table.recording, slots=slots, share_training=share)
    watch = _Watch(executor.clock)
    result = run(
        spec,
        store=store,
        progress=watch,
        executor=lambda task: executor,
        state=StateFolder(Path(folder)),
    )
    if result.interrupted:
        # A real run keeps what it has for `resume`; half of a simulation compares with nothing.
        raise KeyboardInterrupt(result.sweep.stop_reason)
    return watch


@contextmanager
def _store(folder: str) -> Iterator[Store]:
    # Imported here: a help text need not wait for SQLAlchemy.
    from orchestrator.storage.opening import open_store

    store = open_store(StateFolder(Path(folder)).store_url)
    try:
        yield store
    finally:
        store.close()


def _check_space(spec: SweepSpec, table: Table) -> None:
    """Find out now what a simulation would meet after minutes."""
    space = spec.search_space
    if space.size is None or space.size > _MOST_CHECKED or isinstance(spec, TableSweep):
        return
    missing = [params for params in space.grid() if params not in table]
    if missing:
        raise OrchestratorError(
            f"{table.source} lacks {len(missing)} of the space's {space.size} configurations, "
            f"for example {shown(missing[0])}. Narrow the space to what was recorded, or record "
            f"all of it: paretune run SWEEP.yaml --set sampler.kind=grid --trials {space.size}"
        )
