"""A Pareto front as a value: its members in a fixed order, and the questions people ask it."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from orchestrator.columns import Floats
from orchestrator.constraints import Constraint
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.fronts.frames import frame_of
from orchestrator.fronts.member import FrontMember, Pick
from orchestrator.fronts.notebook import front_html, front_text
from orchestrator.fronts.picking import best_within, most_balanced
from orchestrator.objectives import Objective
from orchestrator.pareto.constrained import constrained_front
from orchestrator.pareto.hypervolume import HypervolumeScale
from orchestrator.pareto.losses import loss_matrix
from orchestrator.trials import Trial, TrialState

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from orchestrator.analysis.comparison import Reference


@dataclass(frozen=True, slots=True, repr=False)
class Front(Sequence[FrontMember]):
    """An immutable Pareto front.

    Members are sorted by the first objective, best first, then by the others, then by sweep and
    trial number. Trials that tie on all objectives are all members.

    Attributes:
        objectives: What the members are compared by.
        members: The non-dominated trials.
        others: Complete trials with a number for every objective that are not members.
        feasible: False if no trial meets the constraints: the members are then those that
            violate them least, and not what was asked for.
        left_out: Complete trials without a number for some objective.
        competitors: Trials that competed: complete, measured, and within the constraints.
        trained: All trials that were trained, to the end or until they were stopped, regardless of
            constraints and conditions. Comparisons are corrected for their number, and they place
            the scale of hypervolumes.
        chosen_by: The objectives by which members were chosen and are picked, where they differ
            from the `objectives` that are shown: validation values, where test values are shown.
    """

    objectives: tuple[Objective, ...]
    members: tuple[FrontMember, ...]
    others: Sequence[Trial] = ()
    feasible: bool = True
    left_out: int = 0
    competitors: Sequence[Trial] = field(default=(), compare=False)
    trained: Sequence[Trial] = field(default=(), compare=False)
    chosen_by: tuple[Objective, ...] = ()

    @overload
    def __getitem__(self, index: int) -> FrontMember: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[FrontMember, ...]: ...
    def __getitem__(self, index: int | slice) -> FrontMember | tuple[FrontMember, ...]:
        return self.members[index]

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[FrontMember]:
        return iter(self.members)

    @property
    def losses(self) -> Floats:
        """The members' losses: shape ``(members, objectives)``, smaller is better."""
        return _losses(self.members, self.objectives)

    def hypervolume(self, reference: Mapping[str, float] | None = None) -> float:
        """Measure the volume that the front dominates.

        Args:
            reference: Worst value worth counting, by objective. By default that of the sweep
                (`HypervolumeScale.of_sweep`), so that the number is the one that a report and
                MLflow show, and the volumes of a whole front and of a part can be compared.

        Returns:
            0 for a front whose members violate a constraint.

        Raises:
            UsageError: `reference` lacks an objective, or names something else.
        """
        scale = None if reference is None else self._scale_at(reference)
        if not self.members or not self.feasible:
            return 0.0
        scale = scale or self._scale()
        return scale.volume(self.losses) if scale else 0.0

    def _scale(self) -> HypervolumeScale | None:
        if self.trained:
            return HypervolumeScale.of_sweep(self.trained, self.objectives)
        return HypervolumeScale.behind(
            np.concatenate([self.losses, _losses(self.others, self.objectives)])
        )

    def _scale_at(self, reference: Mapping[str, float]) -> HypervolumeScale:
        if set(reference) != {objective.name for objective in self.objectives}:
            names = ", ".join(objective.name for objective in self.objectives)
            given = ", ".join(reference) or "nothing"
            raise UsageError(f"reference needs one number for each of {names}; it has {given}.")
        return HypervolumeScale.at(reference, self.objectives)

    def knee(self) -> FrontMember:
        """Find the most balanced member, by the rule of `pareto.knee`.

        Members that are no better than always naming the most frequent class, or better by no
        more than noise, are left out where others are (`orchestrator.fronts.picking.at_chance`).

        Raises:
            OrchestratorError: The front is empty, or no member has finite values.
        """
        return most_balanced(self, self._deciders)

    def under(self, name: str, limit: float | str, *, best: str | None = None) -> FrontMember:
        """Find the best member within a limit.

        Args:
            name: The limited value; any measured one.
            limit: An upper limit for a value that is minimised, a lower limit for one that is
                maximised; a number, or text such as ``"200kB"``.
            best: Objective that decides; by default the first one, other than `name`.

        Raises:
            UnknownNameError: `name` is not a measured value, or `best` not an objective.
            OrchestratorError: No member is within the limit; the message names the nearest value.
        """
        return best_within(self, self._deciders, name, limit, best)

    def smallest(
        self,
        *,
        keep: Sequence[str],
        reference: "Reference",
        by: str = "memory_bytes",
        margin: float = 0.02,
        alpha: float = 0.05,
    ) -> Pick:
        """Find the smallest trial that is statistically not worse than a reference.

        All complete trials that meet the constraints compete, not only the members: a trial that
        is dominated by a hair is as good a choice. The tests (`orchestrator.analysis.comparison`)
        are corrected for all trials that were trained, also those that constraints or conditions
        exclude.

        Args:
            keep: Accuracies that must not be worse: ``accuracy``, or one under attack.
            reference: What to compare with, such as `Sweep.reference`.
            by: The value that is to be small.
            margin: Largest loss that does not matter; 0.02 is two points.
            alpha: Accepted probability of calling one trial or more "not worse" that is worse by
                the margin.

        Raises:
            UsageError: A name is not measured image by image, or a number is out of range.
            OrchestratorError: No trial qualifies; the message says which one came nearest.
        """
        from orchestrator.analysis.comparison import smallest
        from orchestrator.analysis.verdict import reason_of, refusal_of

        found = smallest(
            self.trained or self.competitors,
            reference,
            by=by,
            keep=keep,
            margin=margin,
            alpha=alpha,
            allowed={(trial.sweep, trial.number) for trial in self.competitors},
        )
        if found.chosen is None:
            raise OrchestratorError(refusal_of(found))
        member = FrontMember.of(found.chosen.trials[0])
        facts = {entry.name: getattr(member, entry.name) for entry in fields(FrontMember)}
        return Pick(**facts, reason=reason_of(found, found.chosen), selection=found)

    def probabilities(self, *, draws: int = 1_000, seed: int = 0) -> dict[tuple[str, int], float]:
        """Estimate how likely each competing trial is on the front, given the sampling noise.

        Returns:
            Probability by sweep and trial number.
        """
        from orchestrator.analysis.front_probability import front_probabilities

        return front_probabilities(self.competitors, self._deciders, draws=draws, seed=seed)

    @property
    def _deciders(self) -> tuple[Objective, ...]:
        return self.chosen_by or self.objectives

    def to_frame(self) -> "pd.DataFrame":
        """Build a table with one row per member: parameters, values, MLflow run, artifact."""
        return frame_of(member.as_json() for member in self.members)

    @overload
    def plot(self, path: None = None) -> "go.Figure": ...
    @overload
    def plot(self, path: str | Path) -> Path: ...
    def plot(self, path: str | Path | None = None) -> "Path | go.Figure":
        """Draw the front and the trials that it dominates.

        Args:
            path: A file: ``.html``, an interactive page that needs no network, or a picture,
                ``.png``, ``.svg`` or ``.pdf`` (the extra ``pictures``).

        Returns:
            The file, or without a path the figure, which a notebook shows.

        Raises:
            UsageError: `path` ends otherwise.
            OrchestratorError: A picture is asked for, and what draws it is missing.
        """
        from orchestrator.plots.figures import front_figure
        from orchestrator.plots.files import check_ending, write_figure

        if path is None:
            return front_figure(self, self.others)
        file = Path(path)
        check_ending(file)
        write_figure(front_figure(self, self.others), file)
        return file

    def __repr__(self) -> str:
        return front_text(self)

    def _repr_html_(self) -> str:
        return front_html(self)


def compute_front(
    trials: Iterable[Trial],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
    *,
    trained: Iterable[Trial] | None = None,
) -> Front:
    """Find the Pareto front of the complete trials that meet the constraints.

    Trials in another state are ignored: a stopped one was measured after fewer epochs. If no
    trial meets the constraints, the front is that of the trials whose violations have the
    smallest sum, and ``feasible`` is False.

    Args:
        trials: The trials that compete, in any state.
        objectives: At least one.
        constraints: Limits that a member must meet.
        trained: All trials of the sweep, in any state, if only some of them compete.

    Raises:
        UsageError: There is no objective, or one is named twice.

    >>> from orchestrator.objectives import Direction
    >>> trials = [Trial("s", n, {}, 0, TrialState.COMPLETE, values={"a": 7 - n}) for n in (1, 2)]
    >>> [each.trial for each in compute_front(trials, [Objective("a", Direction.MINIMIZE)])]
    [2]
    """
    objectives = checked_objectives(objectives)
    given = tuple(trials)
    complete = [trial for trial in given if trial.state is TrialState.COMPLETE]
    found = constrained_front(lambda name: _values(complete, name), objectives, constraints)
    return Front(
        objectives=objectives,
        members=in_order(itertools.compress(complete, found.on_front), objectives),
        others=tuple(itertools.compress(complete, found.known & ~found.on_front)),
        feasible=found.feasible,
        left_out=int((~found.known).sum()),
        competitors=tuple(itertools.compress(complete, found.allowed)),
        trained=tuple(filter(was_trained, given if trained is None else trained)),
    )


def was_trained(trial: Trial) -> bool:
    """Return whether the trial was trained: to its end, or until a scheduler stopped it.

    >>> was_trained(Trial("s", 0, {}, 0, TrialState.STOPPED))
    True
    """
    return trial.state in (TrialState.COMPLETE, TrialState.STOPPED)


def checked_objectives(objectives: Iterable[Objective]) -> tuple[Objective, ...]:
    """Check that a front can be computed over the objectives, and return them as a tuple.

    Raises:
        UsageError: There is none, or one is named twice.

    >>> checked_objectives([])
    Traceback (most recent call last):
    orchestrator.errors.UsageError: A front needs objectives, each named once; got [].
    """
    objectives = tuple(objectives)
    names = [objective.name for objective in objectives]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"A front needs objectives, each named once; got {names}.")
    return objectives


def in_order(trials: Iterable[Trial], objectives: Sequence[Objective]) -> tuple[FrontMember, ...]:
    """Convert trials to the members of a front, in the front's order.

    >>> trials = [Trial("s", number, {}, 0, TrialState.COMPLETE) for number in (2, 0)]
    >>> [member.trial for member in in_order(trials, [])]
    [0, 2]
    """
    ordered = sorted(
        trials,
        key=lambda t: ([o.loss(t.values[o.name]) for o in objectives], t.sweep, t.number),
    )
    return tuple(map(FrontMember.of, ordered))


def _losses(records: Sequence[Trial | FrontMember], objectives: Sequence[Objective]) -> Floats:
    """Collect losses, shape ``(records, objectives)``, NaN where a value is missing."""
    return loss_matrix([record.values for record in records], objectives)


def _values(records: Sequence[Trial | FrontMember], name: str) -> Floats:
    """Collect the values of a name, one a record, NaN where it is missing."""
    return np.array([record.values.get(name, np.nan) for record in records], np.float64)
