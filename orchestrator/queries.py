"""Questions to finished and running sweeps. Needs neither Ray nor torch, and writes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.constraints import Constraint
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.filters import Filter
from orchestrator.fronts import Front, compute_front, frame_of
from orchestrator.liveness import seen_now
from orchestrator.objectives import KNOWN_DIRECTIONS, Direction, Objective, known_direction
from orchestrator.stores import Store
from orchestrator.trials import SweepRecord, SweepState, Trial, TrialState, Value

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.comparison import Reference
    from orchestrator.study import Study

Subset = Literal["val", "test"]

# Names that a filter may use beside parameters and values.
FACTS = ("sweep", "trial", "state", "backbone", "data")

_TEST = "test_"
_SUFFIXES = {
    "min": Direction.MINIMIZE,
    "max": Direction.MAXIMIZE,
    **{direction.value: direction for direction in Direction},
}


@dataclass(frozen=True, slots=True)
class Sweep:
    """A read-only view of one sweep; every answer is read from the store when it is asked for.

    Attributes:
        name: Name of the sweep.
        store: Where it is stored.
    """

    name: str
    store: Store

    @property
    def record(self) -> SweepRecord:
        """What the store holds of the sweep itself; interrupted if its driver is dead."""
        return seen_now(self.store.sweep(self.name))

    @property
    def spec(self) -> Mapping[str, Any]:
        """The sweep file, with defaults filled in."""
        return self.record.spec

    @property
    def state(self) -> SweepState:
        """Where the sweep stands."""
        return self.record.state

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the sweep optimises, in the order of its file."""
        return spec_objectives(self.spec)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Limits that its trials must meet."""
        return spec_constraints(self.spec)

    def trials(self, where: str | None = None) -> list[Trial]:
        """Give the trials that fulfill a condition, in order of their numbers.

        Args:
            where: See `orchestrator.filters`; names are parameters, values, and ``sweep``,
                ``trial``, ``state``, ``backbone`` and ``data``.

        Raises:
            UsageError: `where` does not parse, or names what no trial has.
        """
        trials = self.store.trials(self.name)
        return trials if where is None else _kept(trials, [self.record], where)

    def trial(self, number: int) -> Trial:
        """Give one trial."""
        return self.store.trial(self.name, number)

    @property
    def reference(self) -> "Reference":
        """The full-size, unquantized network, once a seed, that sized ones are compared with.

        Raises:
            OrchestratorError: The sweep has none, or it is not measured yet.
        """
        # Imported here: SciPy takes a second, which a front need not wait for.
        from orchestrator.comparison import Reference

        trials = [trial for trial in self.trials() if trial.is_reference]
        complete = tuple(trial for trial in trials if trial.state is TrialState.COMPLETE)
        if not trials:
            raise OrchestratorError(
                f"{self.name!r} has no reference to compare with: write 'reference: true' into "
                f"its sweep file and run it again. That trains the full-size network and repeats "
                f"no other trial."
            )
        if not complete:
            states = ", ".join(f"trial {trial.number} is {trial.state}" for trial in trials)
            raise OrchestratorError(
                f"The reference of {self.name!r} is not measured: {states}. 'paretune show "
                f"{self.name} {trials[0].number}' says more."
            )
        return Reference(complete)

    def front(
        self,
        objectives: Sequence[str] | None = None,
        *,
        where: str | None = None,
        subset: Subset = "val",
    ) -> Front:
        """Give the Pareto front of the complete trials.

        Args:
            objectives: Names, each with ``:min`` or ``:max`` where the direction is not known;
                by default those of the sweep.
            where: Only trials that fulfill this condition compete.
            subset: ``"test"`` compares trials that were measured on the test set by their
                ``test_`` values, where an objective has one. Constraints hold for validation
                values: selection never touches the test set.

        Raises:
            UsageError: A name is unknown, or a text does not parse.
            OrchestratorError: No trial was measured on the test set yet.
        """
        return _front([self.record], self.store.trials(self.name), objectives, where, subset)

    def study(
        self,
        *,
        keep: Sequence[str] = ("accuracy",),
        margin: float = 0.02,
        alpha: float = 0.05,
        head_saving: float = 0.8,
    ) -> "Study":
        """Compare the sized and quantized networks of the sweep with its reference.

        Args:
            keep: Accuracies that must not be worse: ``accuracy``, or one under attack.
            margin: Largest loss that does not matter; 0.02 is two points.
            alpha: Accepted probability of calling one network or more "not worse" that is worse
                by the margin.
            head_saving: Share of the head's parameters that is to be saved at least.

        Raises:
            UsageError: A name is not measured image by image, or a number is out of range.
            OrchestratorError: The sweep has no reference, or its answers are not known.
        """
        from orchestrator.study import sizing_study

        return sizing_study(
            self.front().competitors,
            self.reference,
            quantization=self.spec.get("quantization"),
            keep=keep,
            margin=margin,
            alpha=alpha,
            head_saving=head_saving,
        )

    def to_frame(self) -> "pd.DataFrame":
        """Give one row a trial, whatever its state."""
        return frame_of(map(_trial_record, self.trials()))


def open_sweep(name: str, store: Store | str | None = None) -> Sweep:
    """Open a sweep for reading.

    Args:
        name: Name of the sweep.
        store: A store or its URL; by default the one in the state folder.

    Raises:
        UnknownNameError: There is no such sweep; the sentence lists those that there are.
    """
    sweep = Sweep(name, _opened(store))
    _ = sweep.record
    return sweep


def list_sweeps(store: Store | str | None = None) -> list[SweepRecord]:
    """Give all sweeps of a store, oldest first; those whose driver is dead as interrupted."""
    return [seen_now(record) for record in _opened(store).sweeps()]


def pareto_front(
    sweeps: str | Sequence[str] | None = None,
    objectives: Sequence[str] | None = None,
    *,
    where: str | None = None,
    store: Store | str | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> Front:
    """Give the Pareto front over one sweep, over several, or over an MLflow experiment alone.

    Args:
        sweeps: Names of sweeps in a store; left out where MLflow is asked.
        objectives: As in `Sweep.front`. Sweeps with different objectives need them.
        where: Only trials that fulfill this condition compete.
        store: As in `open_sweep`.
        tracking_uri: MLflow server or database to read instead of a store.
        experiment: Name of its experiment, which is the sweep's name.

    Raises:
        UsageError: Both or neither of store and MLflow are named, or as for `Sweep.front`.
    """
    if tracking_uri is not None:
        if sweeps is not None or store is not None or experiment is None:
            raise UsageError(
                "A front from MLflow alone needs tracking_uri and experiment, and neither sweeps "
                "nor store: pareto_front(tracking_uri='http://...', experiment='digits-fc')."
            )
        return _tracked_front(tracking_uri, experiment, objectives, where)
    names = [sweeps] if isinstance(sweeps, str) else list(dict.fromkeys(sweeps or ()))
    if not names or experiment is not None:
        raise UsageError(
            "A front needs the name of a sweep, as in pareto_front('digits-fc'), or an MLflow "
            "experiment with its tracking_uri."
        )
    opened = _opened(store)
    records = [opened.sweep(name) for name in names]
    trials = [trial for name in names for trial in opened.trials(name)]
    return _front(records, trials, objectives, where, "val")


def spec_objectives(spec: Mapping[str, Any]) -> tuple[Objective, ...]:
    """Read the objectives of a stored spec: a direction each, or a mapping that holds one."""
    return tuple(
        Objective(name, Direction(goal["direction"] if isinstance(goal, Mapping) else goal))
        for name, goal in spec["objectives"].items()
    )


def spec_constraints(spec: Mapping[str, Any]) -> tuple[Constraint, ...]:
    """Read the constraints of a stored spec."""
    return tuple(map(Constraint.parse, spec.get("constraints") or ()))


def parse_objectives(
    names: Sequence[str], defaults: Iterable[Objective], measured: Iterable[str]
) -> tuple[Objective, ...]:
    """Turn names into objectives.

    Args:
        names: Each with ``:min`` or ``:max`` where the direction is not known, or is to differ.
        defaults: Objectives whose directions are known, beside `KNOWN_DIRECTIONS`.
        measured: Names of the values that trials have; empty if nothing was measured yet.

    Raises:
        UnknownNameError: A name is neither a default nor measured.
        UsageError: The direction of a measured value is not known.
    """
    directions = {**KNOWN_DIRECTIONS, **{o.name: o.direction for o in defaults}}
    known = set(measured) | {objective.name for objective in defaults}
    found = []
    for text in [names] if isinstance(names, str) else names:
        name, colon, suffix = (part.strip() for part in text.partition(":"))
        if name not in (known if measured else known | directions.keys()):
            raise UnknownNameError("objective", name, known)
        if colon and suffix not in _SUFFIXES:
            raise UnknownNameError("direction", suffix, _SUFFIXES, where=repr(text))
        direction = _SUFFIXES[suffix] if colon else directions.get(name) or known_direction(name)
        if direction is None:
            raise UsageError(
                f"Whether {name!r} is better small or large is not known: write {name}:min or "
                f"{name}:max."
            )
        found.append(Objective(name, direction))
    return tuple(found)


def _opened(store: Store | str | None) -> Store:
    if store is not None and not isinstance(store, str):
        return store
    from orchestrator.storage import open_store

    return open_store(store, create=False)


def _front(
    records: Sequence[SweepRecord],
    trials: Sequence[Trial],
    names: Sequence[str] | None,
    where: str | None,
    subset: Subset,
) -> Front:
    per_sweep = {record.name: spec_objectives(record.spec) for record in records}
    if names is None and len({frozenset(each) for each in per_sweep.values()}) > 1:
        listed = "; ".join(
            f"{name}: {', '.join(map(str, goals))}" for name, goals in per_sweep.items()
        )
        raise UsageError(f"These sweeps have different objectives, so name them: {listed}.")
    first = next(iter(per_sweep.values()))
    every = dict.fromkeys(goal for goals in per_sweep.values() for goal in goals)
    objectives = first if names is None else parse_objectives(names, every, _measured(trials))
    limits = dict.fromkeys(limit for each in records for limit in spec_constraints(each.spec))
    if subset == "test":
        trials, objectives = _on_test(trials, objectives)
    if where is not None:
        trials = _kept(trials, records, where)
    return compute_front(trials, objectives, tuple(limits))


def _tracked_front(
    tracking_uri: str, experiment: str, names: Sequence[str] | None, where: str | None
) -> Front:
    from orchestrator.tracking.mlflow_reader import trials_from_mlflow

    objectives, trials, limits = trials_from_mlflow(tracking_uri, experiment)
    if names is not None:
        objectives = parse_objectives(names, objectives, _measured(trials))
    if where is not None:
        trials = _kept(trials, (), where)
    return compute_front(trials, objectives, tuple(map(Constraint.parse, limits)))


def _measured(trials: Iterable[Trial]) -> set[str]:
    return {name for trial in trials for name in trial.values}


def _on_test(
    trials: Sequence[Trial], objectives: Sequence[Objective]
) -> tuple[list[Trial], tuple[Objective, ...]]:
    """Keep trials measured on the test set, and compare them by what was measured there."""
    tested = [trial for trial in trials if any(name.startswith(_TEST) for name in trial.values)]
    if not tested:
        raise OrchestratorError(
            "No trial was measured on the test set yet: members of the front are, once, when "
            "their sweep ends."
        )
    measured = _measured(tested)
    renamed = [_TEST + o.name if _TEST + o.name in measured else o.name for o in objectives]
    goals = zip(renamed, objectives, strict=True)
    return tested, tuple(Objective(name, goal.direction) for name, goal in goals)


def _kept(trials: Sequence[Trial], records: Sequence[SweepRecord], where: str) -> list[Trial]:
    """Keep the trials that fulfill a condition, after checking that its names exist."""
    condition = Filter.parse(where)
    facts = {record.name: _facts(record) for record in records}
    known = {*FACTS, *_measured(trials), *(name for trial in trials for name in trial.params)}
    if not records:
        # From MLflow alone there is no spec to take them from; a condition on them must not be
        # quietly false.
        known -= {"backbone", "data"} - {name for trial in trials for name in trial.params}
    for record in records:
        known |= {goal.name for goal in spec_objectives(record.spec)}
        known |= set(space) if isinstance(space := record.spec.get("space"), Mapping) else set()
    for name in condition.names:
        if name not in known:
            raise UnknownNameError("name", name, known, where=repr(where))
    return [trial for trial in trials if condition.keep(_row(trial, facts.get(trial.sweep, {})))]


def _facts(record: SweepRecord) -> dict[str, Value]:
    sections = {key: record.spec.get(key) for key in ("backbone", "data")}
    return {
        key: section["name"]
        for key, section in sections.items()
        if isinstance(section, Mapping) and "name" in section
    }


def _row(trial: Trial, facts: Mapping[str, Value]) -> dict[str, Value]:
    own: dict[str, Value] = {
        "sweep": trial.sweep,
        "trial": trial.number,
        "state": trial.state.value,
    }
    return {**facts, **own, **trial.values, **trial.params}


def _trial_record(trial: Trial) -> dict[str, Any]:
    artifact = trial.artifact.path if trial.artifact else None
    return {
        "sweep": trial.sweep,
        "trial": trial.number,
        "state": trial.state.value,
        "params": trial.params,
        "values": trial.values,
        "failure": trial.failure.message if trial.failure else None,
        "mlflow_run_id": trial.mlflow_run_id,
        "artifact": artifact,
    }
