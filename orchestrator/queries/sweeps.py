"""Queries of finished and running sweeps. Needs neither Ray nor torch, and writes nothing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.constraints import Constraint
from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.fronts.frames import frame_of
from orchestrator.fronts.front import Front, compute_front
from orchestrator.fronts.stored import Question, stored_front
from orchestrator.objectives import Objective, parse_objectives
from orchestrator.queries.conditions import facts_of, read_condition, row_of
from orchestrator.queries.liveness import seen_now
from orchestrator.queries.notebook import sweep_html
from orchestrator.queries.records import trial_record
from orchestrator.queries.selection import trials_where
from orchestrator.spec.stored import (
    note_code,
    spec_claim,
    spec_constraints,
    spec_objectives,
)
from orchestrator.trials import Choice, SweepRecord, SweepState, Trial, TrialState

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from orchestrator.analysis.comparison import Reference
    from orchestrator.analysis.sizing_study import Study
    from orchestrator.spec.claim_section import ClaimSection

Subset = Literal["val", "test"]

_TEST = "test_"
_MLFLOW_ALONE = (
    "A front from MLflow alone needs tracking_uri and experiment, and neither sweeps nor store: "
    "pareto_front(tracking_uri='http://...', experiment='digits-fc')."
)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A read-only view of one sweep; every answer is read from the store at the time of the call.

    Attributes:
        name: Name of the sweep.
        store: The store that holds it.
    """

    name: str
    store: Store

    def _repr_html_(self) -> str:
        return sweep_html(self.record, self.count_states(), self.objectives)

    @property
    def record(self) -> SweepRecord:
        """The sweep's record in the store; interrupted if its driver is dead."""
        return seen_now(self.store.sweep(self.name))

    @property
    def spec(self) -> Mapping[str, Any]:
        """The sweep file, with defaults filled in."""
        return self.record.spec

    @property
    def state(self) -> SweepState:
        """The state of the sweep."""
        return self.record.state

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the sweep optimises, in the order of its file."""
        return spec_objectives(self.spec)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Limits that its trials must meet."""
        return spec_constraints(self.spec)

    @property
    def claim(self) -> "ClaimSection | None":
        """The claim that its file fixed before the first trial; None if there is none."""
        return spec_claim(self.spec)

    @property
    def choices(self) -> list[Choice]:
        """What people decided about its trials: which are candidates, which were picked, why."""
        return self.store.choices(self.name)

    def trials(self, where: str | None = None) -> list[Trial]:
        """Return the trials that fulfill a condition, in order of their numbers.

        Args:
            where: See `orchestrator.fronts.filters`; names are parameters, values, and ``sweep``,
                ``trial``, ``state``, ``backbone`` and ``data``.

        Raises:
            UsageError: `where` does not parse, or has a name that no trial has.
        """
        if where is None:
            return self.store.trials(self.name)
        return trials_where(self.store, self.record, where)

    def count_states(self) -> dict[str, int]:
        """Count the trials in each state that occurs; no trial is read."""
        return {state.value: n for state, n in self.store.count_states(self.name).items()}

    def trial(self, number: int) -> Trial:
        """Return one trial."""
        return self.store.trial(self.name, number)

    @property
    def reference(self) -> "Reference":
        """The full-size, unquantized network, once a seed, that sized ones are compared with.

        Raises:
            OrchestratorError: The sweep has none, or it is not measured yet.
        """
        # Imported here: SciPy takes a second to import, and a front does not need it.
        from orchestrator.analysis.comparison import Reference

        trials = self.store.references(self.name)
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
        select_on: Subset = "val",
    ) -> Front:
        """Compute the Pareto front of the complete trials.

        Args:
            objectives: Names, each with ``:min`` or ``:max`` where the direction is not known;
                by default those of the sweep.
            where: Only trials that fulfill this condition compete.
            subset: ``"test"`` shows the same members, in the same order, by their ``test_``
                values, where an objective has one: members selected on validation images are
                shown with held-out values, and the knee does not change.
            select_on: ``"test"`` selects anew: the non-dominated ones among the trials that were
                measured on the test set, by their test values. Those values are then
                optimistic, since they were selected by. Constraints still apply to validation
                values.

        Raises:
            UsageError: A name is unknown, or a text does not parse.
            OrchestratorError: No trial was measured on the test set yet.
        """
        return _front(self.store, [self.record], objectives, where, (subset, select_on))

    def study(
        self,
        *,
        keep: Sequence[str] | None = None,
        margin: float | None = None,
        alpha: float | None = None,
        head_saving: float = 0.8,
    ) -> "Study":
        """Compare the sized and quantized networks of the sweep with its reference.

        Arguments that are not given are as the sweep file claims them, else the defaults.

        Args:
            keep: Accuracies that must not be worse: ``accuracy``, or one under attack. By default
                accuracy.
            margin: Largest loss that does not matter; by default 0.02, two points.
            alpha: Accepted probability of calling at least one network "not worse" that is worse
                by the margin; by default 0.05.
            head_saving: Minimum share of the head's parameters that is to be saved.

        Raises:
            UsageError: A name is not measured image by image, or a number is out of range.
            OrchestratorError: The sweep has no reference, or its answers are not known.
        """
        from orchestrator.analysis.claim import Claim
        from orchestrator.analysis.sizing_study import sizing_study
        from orchestrator.queries.claims import of_family

        claim = Claim.asked(self.claim, keep=keep, margin=margin, alpha=alpha)
        front = of_family(self.front(), claim)
        return sizing_study(
            front.trained,
            self.reference,
            allowed={(trial.sweep, trial.number) for trial in front.competitors},
            quantization=self.spec.get("quantization"),
            keep=claim.keep,
            margin=claim.margin,
            alpha=claim.alpha,
            head_saving=head_saving,
        )

    def plot(
        self, kind: str = "front", path: str | Path | None = None, **asked: Any
    ) -> "go.Figure":
        """Draw a plot of the sweep: ``importance``, ``slice``, ``curves`` and others.

        Args:
            kind: A name in `orchestrator.queries.plotting.PLOTS`.
            path: Where to write it, too: ``.html``, ``.png``, ``.svg`` or ``.pdf``.
            asked: ``objective``, ``params`` and ``trials``: see `orchestrator.queries.plotting`.
        """
        from orchestrator.queries.plotting import Asked, plot_to

        return plot_to(self, kind, Asked(**asked), path)

    def to_frame(self) -> "pd.DataFrame":
        """Build a table with one row per trial, whatever its state."""
        return frame_of(map(trial_record, self.trials()))


def open_sweep(name: str, store: Store | str | None = None) -> Sweep:
    """Open a sweep for reading.

    Args:
        name: Name of the sweep.
        store: A store or its URL; by default the one in the state folder.

    Raises:
        UnknownNameError: There is no such sweep; the message lists the existing ones.
    """
    sweep = Sweep(name, _opened(store))
    _ = sweep.record
    return sweep


def list_sweeps(store: Store | str | None = None) -> list[SweepRecord]:
    """Return all sweeps of a store, oldest first; those with a dead driver as interrupted."""
    return [seen_now(record) for record in _opened(store).sweeps()]


def count_sweeps(store: Store | str | None = None) -> list[tuple[SweepRecord, dict[str, int]]]:
    """Return all sweeps as `list_sweeps` does, each with its trials counted by state."""
    opened = _opened(store)
    counts = opened.count_all()
    return [
        (record, {state.value: n for state, n in counts.get(record.name, {}).items()})
        for record in list_sweeps(opened)
    ]


def pareto_front(  # noqa: PLR0913 - a store or an MLflow, and what to ask of it
    sweeps: str | Sequence[str] | None = None,
    objectives: Sequence[str] | None = None,
    *,
    where: str | None = None,
    store: Store | str | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    parent_run: str | None = None,
) -> Front:
    """Compute the Pareto front over one or several sweeps, or over an MLflow experiment alone.

    Args:
        sweeps: Names of sweeps in a store; not given where MLflow is read.
        objectives: As in `Sweep.front`. Sweeps with different objectives need them.
        where: Only trials that fulfill this condition compete.
        store: As in `open_sweep`.
        tracking_uri: MLflow server or database to read instead of a store.
        experiment: Name of its experiment, which is the sweep's name.
        parent_run: Id of the sweep's own run, where several people tracked a sweep of this name to
            one MLflow; by default the newest, with a warning.

    Raises:
        UsageError: Both or neither of store and MLflow are named, or as for `Sweep.front`.

    >>> pareto_front(tracking_uri="http://mlflow:5000")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.errors.UsageError: ...
    """
    if tracking_uri is not None:
        if sweeps is not None or store is not None or experiment is None:
            raise UsageError(_MLFLOW_ALONE)
        return _tracked_front(tracking_uri, experiment, parent_run, objectives, where)
    names = [sweeps] if isinstance(sweeps, str) else list(dict.fromkeys(sweeps or ()))
    if not names or experiment is not None or parent_run is not None:
        raise UsageError(
            "A front needs the name of a sweep, as in pareto_front('digits-fc'), or an MLflow "
            "experiment with its tracking_uri."
        )
    opened = _opened(store)
    records = [opened.sweep(name) for name in names]
    return _front(opened, records, objectives, where)


def _opened(store: Store | str | None) -> Store:
    if store is not None and not isinstance(store, str):
        return store
    from orchestrator.storage import open_store

    return open_store(store, create=False)


def _front(
    store: Store,
    records: Sequence[SweepRecord],
    names: Sequence[str] | None,
    where: str | None,
    subsets: tuple[Subset, Subset] = ("val", "val"),
) -> Front:
    for record in records:
        # Members may be loaded, for which the code of a backbone must be found.
        note_code(record.spec)
    per_sweep = {record.name: spec_objectives(record.spec) for record in records}
    if names is None and len({frozenset(each) for each in per_sweep.values()}) > 1:
        listed = "; ".join(
            f"{name}: {', '.join(map(str, goals))}" for name, goals in per_sweep.items()
        )
        raise UsageError(f"These sweeps have different objectives, so name them: {listed}.")
    first = next(iter(per_sweep.values()))
    every = dict.fromkeys(goal for goals in per_sweep.values() for goal in goals)
    measured = {name for record in records for name in store.value_names(record.name)}
    objectives = first if names is None else parse_objectives(names, every, measured)
    limits = dict.fromkeys(limit for each in records for limit in spec_constraints(each.spec))
    tested = frozenset(name for name in measured if name.startswith(_TEST))
    subset, select_on = subsets
    shown = objectives if subsets == ("val", "val") else _on_test(objectives, tested)
    chosen_by = shown if select_on == "test" else objectives

    def params() -> set[str]:
        trials = (trial for record in records for trial in store.trials(record.name))
        return {name for trial in trials for name in trial.params}

    condition = None if where is None else read_condition(where, records, measured, params)
    question = Question(
        chosen_by, tuple(limits), condition, tested if select_on == "test" else frozenset()
    )
    front = stored_front(store, {record.name: facts_of(record) for record in records}, question)
    if subset == "val" or chosen_by == shown:
        return front
    return replace(front, objectives=shown, chosen_by=chosen_by)


def _tracked_front(
    tracking_uri: str,
    experiment: str,
    parent_run: str | None,
    names: Sequence[str] | None,
    where: str | None,
) -> Front:
    from orchestrator.tracking.mlflow_reader import trials_from_mlflow

    objectives, trials, limits = trials_from_mlflow(
        tracking_uri, experiment, parent_run=parent_run
    )
    if names is not None:
        objectives = parse_objectives(names, objectives, _measured(trials))
    chosen = trials if where is None else _kept(trials, where)
    bounds = tuple(map(Constraint.parse, limits))
    return compute_front(chosen, objectives, bounds, trained=trials)


def _measured(trials: Iterable[Trial]) -> set[str]:
    return {name for trial in trials for name in trial.values}


def _on_test(objectives: Sequence[Objective], tested: Collection[str]) -> tuple[Objective, ...]:
    """Compare trials by what was measured on the test set, where something was."""
    if not tested:
        raise OrchestratorError(
            "No trial was measured on the test set yet: members of the front are, once, when "
            "their sweep ends."
        )
    renamed = [_TEST + o.name if _TEST + o.name in tested else o.name for o in objectives]
    goals = zip(renamed, objectives, strict=True)
    return tuple(Objective(name, goal.direction) for name, goal in goals)


def _kept(trials: Sequence[Trial], where: str) -> list[Trial]:
    """Keep the trials of MLflow that fulfill a condition, after checking that its names exist."""

    def params() -> set[str]:
        return {name for trial in trials for name in trial.params}

    condition = read_condition(where, [], _measured(trials), params)
    rows = [row_of(trial, {}) for trial in trials]
    return list(compress(trials, condition.mask(lambda name: [row.get(name) for row in rows])))
