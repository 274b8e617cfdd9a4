"""The plots of a sweep, by name: what each needs is read from the store, and nothing else."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import OrchestratorError, UnknownNameError
from orchestrator.objectives import Objective, arrow
from orchestrator.places import network_file
from orchestrator.plots import figures, history
from orchestrator.plots.files import check_ending, write_figure
from orchestrator.plots.views import parameters, progress, values
from orchestrator.plots.views.drawn import Drawn
from orchestrator.sampling.importances import importances
from orchestrator.trials import Trial, TrialState

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from orchestrator.fronts.front import Front
    from orchestrator.queries.sweeps import Sweep

_MOST_CURVES = 120
_MOST_MEMBERS = 6
_MOST_NETWORKS = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """What is drawn of a sweep, beside the kind of plot.

    Attributes:
        objective: The objective that slices, contours and ranks show; by default the first. For
            learning curves, any value that was reported.
        params: Parameters to draw; by default those that vary.
        trials: Trials to draw, where a plot cannot draw all; by default members of the front.
    """

    objective: str | None = None
    params: Sequence[str] = ()
    trials: Sequence[int] = ()


@dataclass
class _Read:
    """What plots need of a sweep, each read or computed once."""

    sweep: "Sweep"
    _importances: dict[str | None, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)

    @cached_property
    def front(self) -> "Front":
        return self.sweep.front()

    @cached_property
    def drawn(self) -> Drawn:
        """All trials but the references, and which are on the front."""
        sweep = self.sweep
        front = self.front if sweep.objectives else ()
        trials = [trial for trial in sweep.trials() if not trial.is_reference]
        members = frozenset(member.trial for member in front)
        return Drawn(sweep.name, trials, sweep.objectives, sweep.constraints, members)

    def importances(self, only: str | None = None) -> Mapping[str, Mapping[str, float]]:
        """Those for all objectives, or at least for one."""
        if None in self._importances:
            return self._importances[None]
        if only not in self._importances:
            self._importances[only] = importances(self.sweep.spec, self.drawn.trials, only)
        return self._importances[only]


Draw = Callable[[_Read, Asked], "go.Figure"]


@dataclass(frozen=True, slots=True)
class Plot:
    """A kind of plot.

    Attributes:
        title: What it is called.
        told: What it shows, in a sentence.
        draw: Draws it.
    """

    title: str
    told: str
    draw: Draw


def plot_of(sweep: "Sweep", kind: str, asked: Asked | None = None) -> "go.Figure":
    """Draw a plot of a sweep.

    Args:
        sweep: The sweep, in an open store.
        kind: One of `PLOTS`.
        asked: What of it is drawn; by default as `Asked` says.

    Raises:
        UnknownNameError: There is no such kind of plot, objective, parameter or trial.
        OrchestratorError: The sweep has nothing to draw yet; the message says what it lacks.
    """
    if kind not in PLOTS:
        raise UnknownNameError("plot", kind, PLOTS)
    return PLOTS[kind].draw(_Read(sweep), asked or Asked())


def plots_of(sweep: "Sweep", kinds: Iterable[str]) -> "dict[str, go.Figure]":
    """Draw those of some plots that a sweep has something to show in.

    Args:
        sweep: The sweep, in an open store.
        kinds: Names in `PLOTS`.
    """
    read, found = _Read(sweep), {}
    for kind in kinds:
        with suppress(OrchestratorError):
            found[kind] = PLOTS[kind].draw(read, Asked())
    return found


def plot_to(
    sweep: "Sweep", kind: str, asked: Asked, path: str | Path | None = None
) -> "go.Figure":
    """Draw a plot of a sweep, and write it to a file if one is given.

    Raises:
        UsageError: The file's name ends in nothing that a plot is written to.
        OrchestratorError: As for `plot_of`, or a picture cannot be drawn.
    """
    if path is not None:
        check_ending(Path(path))
    figure = plot_of(sweep, kind, asked)
    if path is not None:
        write_figure(figure, Path(path))
    return figure


def _goal(drawn: Drawn, asked: Asked) -> Objective:
    known = {objective.name: objective for objective in drawn.objectives}
    if not known:
        raise OrchestratorError(f"{drawn.name!r} has no objectives to draw.")
    if asked.objective is None:
        return drawn.objectives[0]
    if asked.objective not in known:
        raise UnknownNameError("objective", asked.objective, known)
    return known[asked.objective]


def _chosen(drawn: Drawn, asked: Asked, most: int) -> list[Trial]:
    by_number = {trial.number: trial for trial in drawn.trials}
    for number in asked.trials:
        if number not in by_number:
            raise OrchestratorError(f"{drawn.name!r} has no trial {number}.")
    if asked.trials:
        return [by_number[number] for number in dict.fromkeys(asked.trials)][:most]
    members = [by_number[number] for number in sorted(drawn.front) if number in by_number]
    return values.spread_members(members, drawn.objectives, most)


def _front(read: _Read, _asked: Asked) -> "go.Figure":
    return figures.front_figure(read.front, read.front.others)


def _parallel(read: _Read, _asked: Asked) -> "go.Figure":
    figure = figures.parallel_figure(read.front, read.front.others)
    title = "<b>Parameters and objectives</b><br>One line a trial; drag along an axis to filter."
    return figure.update_layout(title={"text": title}, height=520)


def _history(read: _Read, _asked: Asked) -> "go.Figure":
    # The reference counts, as in `Front.hypervolume` and in MLflow's curve.
    sweep = read.sweep
    found = history.hypervolumes(sweep.trials(), sweep.objectives, sweep.constraints)
    if not found:
        raise OrchestratorError("No trial meets the constraints yet: there is no hypervolume.")
    figure = history.history_figure(found)
    title = "<b>Hypervolume</b><br>After each complete trial, as a share of the final one."
    return figure.update_layout(title={"text": title}, margin={"t": 80})


def _importance(read: _Read, _asked: Asked) -> "go.Figure":
    found = read.importances()
    goals = {goal.name: arrow(goal) for goal in read.drawn.objectives}
    named = {goals[name]: shares for name, shares in found.items()}
    hint = f"fANOVA (Hutter et al. 2014) of {len(read.drawn.complete):,} complete trials"
    return values.importance_figure(named, hint)


def _slice(read: _Read, asked: Asked) -> "go.Figure":
    return parameters.slice_figure(read.drawn, _goal(read.drawn, asked), asked.params)


def _contour(read: _Read, asked: Asked) -> "go.Figure":
    goal = _goal(read.drawn, asked)
    return parameters.contour_figure(read.drawn, goal, _most_important(read, goal, asked, 2))


def _rank(read: _Read, asked: Asked) -> "go.Figure":
    goal = _goal(read.drawn, asked)
    return parameters.rank_figure(read.drawn, goal, _most_important(read, goal, asked, 3))


def _most_important(read: _Read, goal: Objective, asked: Asked, most: int) -> Sequence[str]:
    """The parameters that are asked for, else those that decide most about an objective."""
    if asked.params:
        return asked.params
    with suppress(OrchestratorError):
        shares = read.importances(goal.name)[goal.name]
        if len(shares) >= 2:
            return list(shares)[:most]
    return ()


def _curves(read: _Read, asked: Asked) -> "go.Figure":
    drawn, sweep = read.drawn, read.sweep
    started = [t for t in drawn.trials if t.state is not TrialState.WAITING]
    shown = _chosen(drawn, asked, _MOST_CURVES) if asked.trials else []
    shown = shown or drawn.thinned(started, _MOST_CURVES)
    reports = {t.number: sweep.store.reports(sweep.name, t.number) for t in shown[:_MOST_CURVES]}
    return progress.curves_figure(drawn, reports, asked.objective)


def _timeline(read: _Read, _asked: Asked) -> "go.Figure":
    return progress.timeline_figure(
        read.sweep.name, read.sweep.store.all_attempts(read.sweep.name)
    )


def _over_time(read: _Read, _asked: Asked) -> "go.Figure":
    return progress.front_over_time(read.drawn)


def _distribution(read: _Read, _asked: Asked) -> "go.Figure":
    return values.distribution_figure(read.drawn)


def _projections(read: _Read, _asked: Asked) -> "go.Figure":
    return values.projections_figure(read.drawn)


def _epsilon(read: _Read, asked: Asked) -> "go.Figure":
    chosen = _chosen(read.drawn, asked, _MOST_MEMBERS)
    return values.epsilon_figure(chosen, values.attacks_of(read.sweep.spec))


def _layers(read: _Read, asked: Asked) -> "go.Figure":
    from trainers.artifact.sizes import read_sizes
    from trainers.errors import TrainerError

    sizes: dict[int, Mapping[str, int]] = {}
    for trial in _chosen(read.drawn, asked, _MOST_NETWORKS):
        # A network that is gone, or is only in a storage that cannot be reached, is left out.
        if trial.artifact is not None:
            with suppress(OrchestratorError, TrainerError, OSError):
                path: Path = network_file(trial.artifact, f"trial {trial.number}")
                sizes[trial.number] = dict(read_sizes(path).layers)
    return values.layers_figure(sizes)


PLOTS: Mapping[str, Plot] = {
    "front": Plot("Front", "The front, and the trials that it dominates.", _front),
    "projections": Plot(
        "Pairs of objectives", "The front in the plane of each pair of objectives.", _projections
    ),
    "over-time": Plot(
        "Front over time", "The front after each number of trials, with a slider.", _over_time
    ),
    "history": Plot("Hypervolume", "How the volume that the front dominates grew.", _history),
    "importance": Plot(
        "Importance", "Which parameters decide about each objective (fANOVA).", _importance
    ),
    "slice": Plot("Slices", "An objective over each parameter.", _slice),
    "contour": Plot("Contour", "The mean of an objective over two parameters.", _contour),
    "rank": Plot("Ranks", "Pairs of parameters, colored by rank in an objective.", _rank),
    "parallel": Plot("Parallel coordinates", "Each trial as a line over all axes.", _parallel),
    "distribution": Plot(
        "Distribution", "Which share of the trials reached which value.", _distribution
    ),
    "curves": Plot("Learning curves", "What was measured after each epoch.", _curves),
    "timeline": Plot("Workers", "When which worker had which trial.", _timeline),
    "epsilon": Plot(
        "Accuracy over epsilon", "How accuracy falls as an attack may change more.", _epsilon
    ),
    "layers": Plot("Bytes by layer", "What each layer takes of the packed networks.", _layers),
}
"""Kinds of plots by name, in the order in which a page shows them."""
