"""What complete trials tell of configurations that were not tried: losses and violations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from orchestrator.columns import Floats
from orchestrator.constraints import Constraint
from orchestrator.contracts import KnownValues
from orchestrator.objectives import Objective
from orchestrator.pareto.dominance import non_dominated
from orchestrator.pareto.losses import loss_matrix
from orchestrator.sampling.features import Features
from orchestrator.sampling.gaussian_process import GaussianProcess, Hyperparameters
from orchestrator.trials import Params

# A cubic cost: of more points than these the front and the latest are fitted.
_MOST = 300
_MOST_STOPPED = 60
# Hyperparameters are found from so many of them, which is enough.
_MOST_FITTED = 100
# How far behind the front's nadir the corner is, and where losses begin to be compressed.
_BEHIND = 0.2
# What a trial takes, of its values.
_TIMES = ("train_s", "eval_s")


class FrontModel:
    """Predicts losses on a scale on which the front's range is 1 in every column.

    Losses behind the corner are compressed logarithmically: how bad a bad configuration is says
    little of the front, and a diverged training would dwarf everything else.

    Args:
        objectives: The losses' columns.
        constraints: Limits on values, each with a model of its own unless it is known.
        features: Of configurations.
        known: What is known of a configuration before training.

    Attributes:
        corner: Shape ``(m,)``: the reference point on that scale.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        features: Features,
        known: KnownValues,
    ) -> None:
        self._objectives, self._constraints = tuple(objectives), tuple(constraints)
        self._features, self._known = features, known
        self._told: dict[int, tuple[Params, Mapping[str, float]]] = {}
        self._stopped: dict[int, Params] = {}
        self._unfit: dict[int, Params] = {}
        self._fitted: _Fitted | None = None
        self._found: dict[tuple[str, tuple[int, ...]], Hyperparameters] = {}
        self.corner = np.full(len(self._objectives), 1.0 + _BEHIND)

    @property
    def complete(self) -> int:
        """How many complete trials were observed."""
        return len(self._told)

    def observe(self, number: int, params: Params, values: Mapping[str, float]) -> None:
        """Learn of a complete trial; one that lacks a finite value is left out."""
        names = [*(o.name for o in self._objectives), *(c.name for c in self._constraints)]
        self._stopped.pop(number, None)
        if all(np.isfinite(values.get(name, np.nan)) for name in names):
            self._told[number] = (params, values)
            self._fitted = None

    def observe_stopped(self, number: int, params: Params) -> None:
        """Learn that a trial was stopped, because others were better."""
        self._stopped[number] = params
        self._fitted = None

    def observe_unfit(self, number: int, params: Params) -> None:
        """Learn that a configuration cannot be trained."""
        self._unfit[number] = params

    def forget(self, number: int) -> None:
        """Take back what was said of a trial, which goes on."""
        if number in self._told or number in self._stopped:
            self._fitted = None
        self._told.pop(number, None)
        self._stopped.pop(number, None)
        self._unfit.pop(number, None)

    def members(self) -> list[Params]:
        """Return the configurations of the front so far."""
        fitted = self._fit()
        return [self._told[fitted.numbers[place]][0] for place in fitted.members]

    def front(self) -> Floats:
        """Return the scaled losses of the front so far, shape ``(k, m)``."""
        fitted = self._fit()
        return fitted.losses[fitted.members]

    def predict(
        self, candidates: Sequence[Params], running: Sequence[Params]
    ) -> "tuple[Floats, Floats, Floats, Floats]":
        """Predict what candidates would measure, if those that run measure what is expected.

        Returns:
            Means and standard deviations of the candidates' scaled losses, shape ``(c, m)``; the
            probability that each meets the constraints, shape ``(c,)``; and the means of those
            that run, shape ``(r, m)``.
        """
        fitted, count = self._fit(), len(candidates)
        running_rows = self._features.rows(running)
        stopped = self._features.rows(list(self._stopped.values())[-_MOST_STOPPED:])
        points = np.vstack([each for each in (fitted.rows, stopped, running_rows) if len(each)])
        among = self._features.apart(points, points)
        apart = self._features.apart(self._features.rows(candidates), points)
        shape = (len(self._objectives), count)
        means, deviations, feasible = np.empty(shape), np.zeros(shape), np.ones(count)
        expected = np.empty((len(self._objectives), len(running)))
        for column, objective in enumerate(self._objectives):
            if objective.name in fitted.known:
                for told, configurations in ((means, candidates), (expected, running)):
                    values = [
                        objective.loss(self._known(c)[objective.name]) for c in configurations
                    ]
                    told[column] = fitted.scale.scaled(np.array(values), column, self.corner)
                continue
            believed = self._believed(
                objective.name, fitted.losses[:, column], among, len(running)
            )
            means[column], deviations[column] = believed.process.predict(apart)
            expected[column] = believed.expected
        for name, violations in fitted.violations.items():
            process = self._believed(name, violations, among, len(running)).process
            mean, deviation = process.predict(apart)
            feasible *= ndtr(-mean / np.maximum(deviation, 1e-9))
        if self._unfit:
            feasible *= self._trainable(candidates, fitted)
        return means.T, deviations.T, feasible, expected.T

    def seconds(self, candidates: Sequence[Params]) -> Floats:
        """Predict how long candidates take, shape ``(c,)``, by what complete trials took.

        All 1 where that was not recorded.
        """
        fitted = self._fit()
        told = [self._told[number][1] for number in fitted.numbers]
        took = np.array([sum(each.get(name, 0.0) for name in _TIMES) for each in told])
        if not (took > 0).all():
            return np.ones(len(candidates))
        among = self._features.apart(fitted.rows, fitted.rows)
        logs = np.log(took)
        found = self._hyperparameters(" ".join(_TIMES), logs, among)
        apart = self._features.apart(self._features.rows(candidates), fitted.rows)
        mean, _ = GaussianProcess(among, logs, found, steps=0).predict(apart)
        predicted: Floats = np.exp(np.clip(mean, logs.min(), logs.max()))
        return predicted

    def _trainable(self, candidates: Sequence[Params], fitted: "_Fitted") -> Floats:
        """Return how probable it is that each candidate can be trained."""
        unfit = [self._unfit[number] for number in sorted(self._unfit)][-_MOST_FITTED:]
        points = np.vstack([fitted.rows, self._features.rows(unfit)])
        is_unfit = np.append(np.full(len(fitted.rows), -1.0), np.ones(len(unfit)))
        process = GaussianProcess(self._features.apart(points, points), is_unfit)
        apart = self._features.apart(self._features.rows(candidates), points)
        mean, deviation = process.predict(apart)
        probable: Floats = ndtr(-mean / np.maximum(deviation, 1e-9))
        return probable

    def _believed(self, name: str, values: Floats, among: Floats, running: int) -> "_Believed":
        """Fit one value, as if what was stopped or runs had measured what is expected of it.

        What was stopped is somewhat worse than was expected: others were better.
        """
        count, end = len(values), len(among) - running
        found = self._hyperparameters(name, values, among)
        first = GaussianProcess(among[:count, :count], values, found, steps=0)
        if count == len(among):
            return _Believed(first, np.empty(0))
        mean, deviation = first.predict(among[count:, :count])
        stopped = mean[: end - count] + deviation[: end - count]
        targets = np.concatenate([values, stopped, mean[end - count :]])
        process = GaussianProcess(among, targets, found, steps=0)
        return _Believed(process, mean[end - count :])

    def _hyperparameters(self, name: str, values: Floats, among: Floats) -> Hyperparameters:
        """Find hyperparameters from the first trials, so that they are not found at each proposal.

        They follow from those trials alone, the scale of their losses included, and neither from
        earlier hyperparameters nor from the front of today: a rebuilt sampler finds the same.
        """
        fitted = self._fit()
        count = _rounded_down(len(values))
        chosen = np.linspace(0, count - 1, min(count, _MOST_FITTED)).round().astype(np.intp)
        numbers = tuple(fitted.numbers[place] for place in chosen)
        if (name, numbers) not in self._found:
            targets = values[chosen]
            for column, objective in enumerate(self._objectives):
                if objective.name == name:
                    raw, violated = self._measured(numbers)
                    _, scale = _front_of(raw, violated)
                    targets = scale.scaled(raw[:, column], column, self.corner)
            process = GaussianProcess(among[np.ix_(chosen, chosen)], targets)
            self._found[name, numbers] = process.found
        return self._found[name, numbers]

    def _measured(self, numbers: Sequence[int]) -> tuple[Floats, Floats]:
        """Return trials' losses, shape ``(n, m)``, and violations, ``(constraints, n)``."""
        values = [self._told[number][1] for number in numbers]
        limits = [[c.violation(each) for each in values] for c in self._constraints]
        violated = np.array(limits, dtype=np.float64).reshape(len(limits), len(values))
        return loss_matrix(values, self._objectives), violated

    def _fit(self) -> "_Fitted":
        if self._fitted is None:
            self._fitted = self._newly_fitted()
        return self._fitted

    def _newly_fitted(self) -> "_Fitted":
        numbers = sorted(self._told)
        raw, violated = self._measured(numbers)
        members, scale = _front_of(raw, violated)
        latest = range(max(0, len(numbers) - _MOST), len(numbers))
        kept = np.array(sorted({*members.tolist(), *latest}), dtype=np.intp)
        rows = self._features.rows([self._told[numbers[place]][0] for place in kept])
        known = set(self._known(self._told[numbers[0]][0]))
        fitted = _Fitted(
            numbers=[numbers[place] for place in kept],
            members=np.searchsorted(kept, members),
            scale=scale,
            rows=rows,
            losses=np.empty((len(kept), raw.shape[1])),
            known=known,
            violations={
                str(c): np.clip(violated[row, kept], -1.0, 2.0)
                for row, c in enumerate(self._constraints)
                if c.name not in known
            },
        )
        for column in range(raw.shape[1]):
            fitted.losses[:, column] = scale.scaled(raw[kept, column], column, self.corner)
        return fitted


def _rounded_down(count: int) -> int:
    """Round to a number of a geometric row, of which each is a quarter more than the last."""
    rounded = min(count, 8)
    while (following := max(rounded + 1, rounded * 5 // 4)) <= count:
        rounded = following
    return rounded


@dataclass(frozen=True, slots=True)
class _Believed:
    """A process, and what it expects of those that run."""

    process: GaussianProcess
    expected: Floats


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What the trials so far amount to.

    Attributes:
        numbers: Of the trials that are fitted.
        members: Places of the front's members among them.
        scale: Of their losses.
        rows: Their features.
        losses: Their scaled losses.
        known: Names of values that need no model.
        violations: Of each constraint that needs a model, shape ``(n,)``.
    """

    numbers: Sequence[int]
    members: NDArray[np.intp]
    scale: "_Scale"
    rows: Floats
    losses: Floats
    known: set[str]
    violations: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class _Scale:
    """On which a front's range is 1 in every column.

    Attributes:
        best: Shape ``(m,)``: the least loss of the front.
        spread: Shape ``(m,)``: the front's range.
    """

    best: Floats
    spread: Floats

    def scaled(self, losses: Floats, column: int, corner: Floats) -> Floats:
        """Scale losses of one column, and compress those behind the corner."""
        scaled = (losses - self.best[column]) / self.spread[column]
        behind = np.maximum(scaled - corner[column], 0.0)
        compressed: Floats = np.minimum(scaled, corner[column]) + np.log1p(behind)
        return compressed


def _front_of(raw: Floats, violated: Floats) -> tuple[NDArray[np.intp], _Scale]:
    """Return the places of a front's members, and their scale.

    Args:
        raw: Shape ``(n, m)``: losses.
        violated: Shape ``(constraints, n)``. Where nothing meets all, all count.
    """
    met = (violated <= 0).all(axis=0)
    among = np.flatnonzero(met) if met.any() else np.arange(len(raw))
    members = among[non_dominated(raw[among])]
    spread, wide = np.ptp(raw[members], axis=0), np.ptp(raw, axis=0)
    spread = np.where(spread > 0, spread, np.where(wide > 0, wide, 1.0))
    return members, _Scale(raw[members].min(axis=0), spread)
