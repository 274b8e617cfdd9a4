"""A sampler on Optuna, whose study is only a cache of the recorded trials.

The study lives in memory. It grows by asking and telling while the driver lives, and is filled
from the stored trials when it starts again; both give the same study, and every ask has a seed
of its own, so that a driver that was killed goes on as if it had not been.
"""

import hashlib
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial

from orchestrator.constraints import Constraint, KnownConstraints
from orchestrator.contracts import KnownValues, Suggestion, nothing_known
from orchestrator.objectives import Objective
from orchestrator.sampling.deduplication import Deduplicator
from orchestrator.sampling.distributions import ask_params, told_params, told_value
from orchestrator.sampling.history_window import SAMPLE, STEP, Window, horizon
from orchestrator.sampling.infeasible import UNFIT, WorstKnown, is_infeasible
from orchestrator.sampling.kinds import KINDS, Kind
from orchestrator.sampling.optuna_logging import quiet
from orchestrator.sampling.prior import Prior
from orchestrator.trials import Params, PriorPoint, Trial, TrialState
from search_spaces import SearchSpace

# What NSGA-II must find again after a restart; without it the rebuilt sampler is random search.
_KEPT_ATTRS = ":generation"

# Of what was measured before the sweep NSGA-II would take no notice without a generation; the
# other samplers take none of this.
_PRIOR_ATTRS: Mapping[str, object] = {"NSGAIISampler:generation": 0}

_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.STOPPED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The result that is passed to Optuna for a trial; ``RUNNING`` until the trial is final."""

    state: OptunaState
    values: list[float] | None = None
    violations: Mapping[str, float] | None = None


class OptunaSampler:
    """TPE, NSGA-II, Gaussian processes or random search. See `orchestrator.contracts.Sampler`.

    Optuna gets a complete trial with its values and the violations of the constraints, a stopped
    one as PRUNED, and a failed one, or one with a missing or non-finite value, as FAIL, from
    which nothing is learned. A trial that failed because its configuration cannot be trained
    (`orchestrator.sampling.infeasible`) is passed as complete and violating: worse than any that
    was measured. All others stay RUNNING, so that TPE and GP keep away from configurations in
    flight.

    A configuration that is known to violate a constraint before it is trained is never proposed:
    Optuna gets it as complete, with the true violation, and is asked for another one. After a few
    of them the next one is drawn from those that may be proposed. They are not stored: a rebuilt
    sampler meets others, and its suggestions follow from the seed and from what it observed.

    What was measured before the sweep is passed like complete trials, and is the first generation
    of NSGA-II, or a part of it.

    Optuna sees a window of many trials (`orchestrator.sampling.history_window`): the latest ones,
    the best of the others, and a sample of the rest. A proposal therefore costs the same after
    10,000 trials.

    A configuration is never proposed twice: where Optuna insists on known ones, the next is drawn
    from those not seen. Suggestions depend on the seed and on what was observed and suggested
    alone; a rebuilt NSGA-II chooses the parents of the generation under way afresh, from all
    trials that are complete by then.

    Args:
        space: What may be proposed.
        objectives: At least one.
        constraints: Limits on values.
        seed: Seed of all random numbers.
        kind: A name in `orchestrator.sampling.OPTUNA_KINDS`, or how Optuna's sampler is made.
        known: What is known of a configuration before training.
        prior: Which values of parameters to try first.

    References:
        S. Watanabe. Tree-structured Parzen estimator: understanding its algorithm components and
        their roles for better empirical performance. 2023. https://arxiv.org/abs/2304.11127
        K. Deb et al. A fast and elitist multiobjective genetic algorithm: NSGA-II. IEEE
        Transactions on Evolutionary Computation 6(2), 2002. https://doi.org/10.1109/4235.996017
    """

    def __init__(  # noqa: PLR0913 - what a sampler is made of
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        *,
        seed: int,
        kind: str | Kind = "tpe",
        known: KnownValues = nothing_known,
        prior: Prior | None = None,
    ) -> None:
        self._prior = prior
        self._space, self._seed = space, seed
        self._kind = KINDS[kind] if isinstance(kind, str) else kind
        self._objectives, self._constraints = tuple(objectives), tuple(constraints)
        self._known_constraints = KnownConstraints(constraints, known)
        self._deduplicator = Deduplicator(space, self._known_constraints)
        self._refused: list[Suggestion] = []
        self._window = Window(objectives, constraints, seed)
        self._trials: dict[int, Trial] = {}
        # What Optuna was asked for: by configuration until it is a trial, then by its number.
        self._asks: dict[str, optuna.Trial] = {}
        self._running: dict[int, optuna.Trial] = {}
        self._order: list[int] = []
        self._settled = self._horizon = self._generations = 0
        self._study = self._empty_study()
        self._worst = WorstKnown(self._objectives)
        self._is_stale = False

    def suggest(self) -> Suggestion | None:
        """Propose a configuration that was not seen before; None as in `Deduplicator.draw`."""
        if self._deduplicator.exhausted:
            return None
        with quiet():
            if self._is_outdated:
                self._rebuild()
            attempts, refused = 0, self.screened_out
            while attempts < self._kind.asks + min(
                self.screened_out - refused, self._kind.extra_asks
            ):
                study = self._study_with_seed(attempts)
                self._follow_prior(study, attempts)
                suggestion = self._asked(study)
                if suggestion is not None:
                    return suggestion
                attempts += 1
            return self._drawn(self._study_with_seed(attempts), attempts)

    @property
    def screened_out(self) -> int:
        """How many configurations were left out because they are known to break a constraint."""
        return self._deduplicator.screened_out

    def learn(self, points: Sequence[PriorPoint]) -> None:
        """Add each point to the study as a complete trial; none of them counts as seen."""
        prior = [_as_trial(number, point) for number, point in enumerate(points)]
        for trial in prior:
            self._worst.observe(trial)
        self._window.add(prior)
        with quiet():
            self._append(self._window.shown)

    def observe(self, trial: Trial) -> None:
        """Learn of a trial; cheap unless it changes what Optuna was told before."""
        key = self._deduplicator.key(trial.params)
        self._deduplicator.add(key)
        known = self._trials.get(trial.number)
        self._trials[trial.number] = trial
        self._settle(trial)
        if self._worst.observe(trial) and self._kind.models_values:
            # The values passed to Optuna for other trials are outdated.
            self._is_stale = True
        if known is None and key in self._asks:
            self._running[trial.number] = self._asks.pop(key)
        if trial.number in self._running:
            if trial.state.is_final:
                with quiet():
                    self._tell(self._running.pop(trial.number), trial)
        elif known is None:
            # A driver that takes up a long sweep would fill a study that the next ask replaces.
            if not self._is_outdated:
                with quiet():
                    self._append([trial])
        elif self._verdict(known) != self._verdict(trial):
            self._is_stale = True

    @property
    def _is_outdated(self) -> bool:
        """Whether the next ask begins with another study."""
        return self._is_stale or horizon(self._settled) != self._horizon

    def _settle(self, trial: Trial) -> None:
        """Count the oldest trials that are final, up to the first that is not."""
        if len(self._order) < len(self._trials):
            self._order.append(trial.number)
        while (
            self._settled < len(self._order)
            and self._trials[self._order[self._settled]].state.is_final
        ):
            self._settled += 1

    def _follow_prior(self, study: optuna.Study, attempt: int) -> None:
        """Fix parameters of the next ask, if the prior says so."""
        if self._prior is None:
            return
        seed = self._derived_seed(attempt)
        fixed = self._prior.draw(self._space.domains, self._deduplicator.seen, seed)
        if fixed:
            told = {name: told_value(self._space, name, value) for name, value in fixed.items()}
            study.enqueue_trial(told)

    def _asked(self, study: optuna.Study) -> Suggestion | None:
        """Ask Optuna once; None if it proposes a configuration that was seen."""
        asked = study.ask()
        _ = asked.relative_params  # as in `_drawn`: a prior may have fixed all of them
        params = ask_params(asked, self._space)
        key = self._deduplicator.key(params)
        if not self._deduplicator.add(key):
            # FAIL is the one state that no sampler learns from.
            study.tell(asked, state=OptunaState.FAIL)
            return None
        if self._deduplicator.screens_out(key, params):
            self._tell_refused(asked, Suggestion(params, self._kept_attrs()))
            return None
        self._asks[key] = asked
        return Suggestion(params, self._kept_attrs())

    def _drawn(self, study: optuna.Study, attempt: int) -> Suggestion | None:
        """Have Optuna ask for a configuration that is drawn from those not seen."""
        rng = random.Random(self._derived_seed(attempt))  # noqa: S311
        params = self._deduplicator.draw(rng)
        if params is None:
            return None
        study.enqueue_trial(told_params(self._space, params)[0])
        asked = study.ask()
        # Surprise (Optuna 5.0): a trial whose params are all fixed joins no generation of
        # NSGA-II, unless something asks for its relative params.
        _ = asked.relative_params
        ask_params(asked, self._space)
        key = self._deduplicator.key(params)
        self._deduplicator.add(key)
        self._asks[key] = asked
        return Suggestion(params, self._kept_attrs())

    def _kept_attrs(self) -> dict[str, object]:
        attrs = self._study.get_trials(deepcopy=False)[-1].system_attrs
        kept = {key: value for key, value in attrs.items() if key.endswith(_KEPT_ATTRS)}
        return {key: value + self._generations for key, value in kept.items()}

    def _empty_study(self) -> optuna.Study:
        directions = [objective.direction.value for objective in self._objectives]
        with quiet():
            return optuna.create_study(directions=directions)

    def _study_with_seed(self, attempt: int) -> optuna.Study:
        """Give the study a new sampler: its random state is not stored, so it may not matter."""
        self._study.sampler = self._kind.build(self._derived_seed(attempt), self._window.hidden)
        return self._study

    def _derived_seed(self, attempt: int) -> int:
        text = f"{self._seed}/{self._deduplicator.seen}/{attempt}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    def _verdict(self, trial: Trial) -> _Verdict:
        if is_infeasible(trial):
            return self._infeasible()
        state = _STATES.get(trial.state, OptunaState.RUNNING)
        if state is not OptunaState.COMPLETE:
            return _Verdict(state)
        values = [trial.values.get(objective.name, math.nan) for objective in self._objectives]
        limits = {str(limit): limit.violation(trial.values) for limit in self._constraints}
        # Optuna takes a complete trial without violations for a feasible one, and a NaN would
        # leave it RUNNING: all or nothing.
        if not all(map(math.isfinite, [*values, *limits.values()])):
            return _Verdict(OptunaState.FAIL)
        if self._kind.models_values and self._worst.has_infeasible:
            limits[UNFIT] = -1.0
        return _Verdict(state, values, limits)

    def _infeasible(self) -> _Verdict:
        """Complete, but in violation of a constraint that every measured trial meets."""
        if not self._kind.models_values:
            # TPE and NSGA-II order infeasible trials by their violations alone; more than any
            # that was measured.
            return _Verdict(OptunaState.COMPLETE, [0.0] * len(self._objectives), {UNFIT: 1e9})
        # A Gaussian process is fitted to the values too, and the worst known ones distort it
        # least. How far it is from the other limits is unknown: on them.
        limits = dict.fromkeys(map(str, self._constraints), 0.0)
        return _Verdict(OptunaState.COMPLETE, self._worst.values, {**limits, UNFIT: 1.0})

    def _tell(self, asked: optuna.Trial, trial: Trial) -> None:
        verdict = self._verdict(trial)
        for name, violation in (verdict.violations or {}).items():
            asked.set_constraint(name, violation)
        self._study.tell(asked, verdict.values, state=verdict.state)

    def _tell_refused(self, asked: optuna.Trial, refused: Suggestion) -> None:
        self._refused.append(refused)
        if self._kind.models_values and not self._worst.has_infeasible:
            # From now on the worst known values replace those that are unknown.
            self._worst.has_infeasible = self._is_stale = True
        verdict = self._refusal(refused.params)
        for name, violation in (verdict.violations or {}).items():
            asked.set_constraint(name, violation)
        self._study.tell(asked, verdict.values, state=verdict.state)

    def _refusal(self, params: Params) -> _Verdict:
        """Complete, and in violation of what it is known to violate."""
        known = self._known_constraints.known(params)
        worst = zip(self._objectives, self._worst.values, strict=True)
        limits = self._known_constraints.violations(params)
        if self._kind.models_values:
            limits[UNFIT] = -1.0
        values = [known.get(objective.name, value) for objective, value in worst]
        return _Verdict(OptunaState.COMPLETE, values, limits)

    def _append(self, trials: Iterable[Trial]) -> None:
        """Add trials that Optuna was not asked for, or not by this process."""
        for trial in trials:
            told = Suggestion(trial.params, trial.sampler_attrs)
            verdict = self._verdict(trial)
            self._add(told, verdict)
            if verdict.state is OptunaState.RUNNING:
                # In a storage in memory that holds one study, a trial's id is its number.
                place = len(self._study.get_trials(deepcopy=False)) - 1
                self._running[trial.number] = optuna.Trial(self._study, place)

    def _add(self, told: Suggestion, verdict: _Verdict) -> None:
        numbers, distributions = told_params(self._space, told.params)
        self._study.add_trial(
            create_trial(
                state=verdict.state,
                values=verdict.values,
                params=numbers,
                distributions=distributions,
                system_attrs=self._shifted(told.sampler_attrs),
                constraints=verdict.violations,
            )
        )

    def _rebuild(self) -> None:
        """Fill a new study from what was observed and refused, as far as it is still shown."""
        self._study, self._is_stale = self._empty_study(), False
        self._asks.clear()
        self._running.clear()
        while self._horizon < horizon(self._settled):
            next_ones = self._order[self._horizon : self._horizon + STEP]
            self._window.add([self._trials[number] for number in next_ones])
            self._horizon += STEP
        recent = [self._trials[number] for number in self._order[self._horizon :]]
        self._generations = _generations_left_out(recent) if self._window.hidden else 0
        self._append(self._window.shown)
        self._append(recent)
        for refused in self._refused[-SAMPLE:]:
            self._add(refused, self._refusal(refused.params))

    def _shifted(self, attrs: Mapping[str, object]) -> dict[str, object]:
        """Let generations begin with the one before those that are shown whole.

        NSGA-II chooses the parents of a generation by way of all generations before, a call
        within a call; what is still shown of earlier ones is as good as the first.
        """
        return {
            key: max(0, value - self._generations)
            if key.endswith(_KEPT_ATTRS) and isinstance(value, int)
            else value
            for key, value in attrs.items()
        }


def _as_trial(number: int, point: PriorPoint) -> Trial:
    """What was measured elsewhere, as the complete trial that Optuna takes it for."""
    return Trial(
        sweep=point.source,
        number=number,
        params=point.params,
        seed=0,
        state=TrialState.COMPLETE,
        values=point.values,
        sampler_attrs=_PRIOR_ATTRS,
    )


def _generations_left_out(recent: Iterable[Trial]) -> int:
    """How many generations of NSGA-II are not shown, if only these trials are shown whole."""
    generations = [
        value
        for trial in recent
        for key, value in trial.sampler_attrs.items()
        if key.endswith(_KEPT_ATTRS) and isinstance(value, int)
    ]
    return max(0, min(generations, default=0) - 1)
