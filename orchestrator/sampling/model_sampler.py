"""A sampler that fits a model, looks near the front, and uses what is known before training."""

import hashlib
import random
from collections.abc import Iterable, Sequence

import numpy as np

from orchestrator.constraints import Constraint, KnownConstraints
from orchestrator.contracts import KnownValues, Suggestion, nothing_known
from orchestrator.objectives import Objective
from orchestrator.sampling.deduplication import Deduplicator
from orchestrator.sampling.features import Features, mutated, neighbors
from orchestrator.sampling.front_gain import FrontGain, behind_extensions
from orchestrator.sampling.front_model import FrontModel
from orchestrator.sampling.infeasible import is_infeasible
from orchestrator.trials import Params, PriorPoint, Trial, TrialState, Value
from search_spaces import SearchSpace

FIRST = 10
"""Configurations that are spread over the space before there is a model."""

# Unseen configurations that are compared for one proposal: what one step from the front reaches,
# what two or three reach, and draws from all of the space; of a small space all that are left.
_MOST_NEAR, _MUTATED, _DRAWN, _ALL = 600, 200, 300, 1_000
_SPREAD_OVER = 100


class ModelSampler:
    """Proposes what is expected to add most to the front. See `orchestrator.contracts.Sampler`.

    The first configurations are spread over the space, sizes included. Then each objective has a
    Gaussian process over parameters and known values, but for objectives that are known before
    training, which are taken as they are. Compared are neighbors of the front's members, mutated
    ones, and random ones; proposed is the one with the largest expected gain of hypervolume
    (`orchestrator.sampling.front_gain`), what may extend the front at either end included. Those
    in flight count as measured as predicted.

    All follows from the seed, the number of configurations seen, and what was observed.

    Args:
        space: What may be proposed.
        objectives: At least one.
        constraints: Limits on values.
        seed: Of all that is random.
        known: What is known of a configuration before training.
        per_second: Whether the gain counts by the second that a trial is expected to take, and
            not by the trial: for a sweep whose time is limited. What trials took is then observed.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        *,
        seed: int,
        known: KnownValues = nothing_known,
        per_second: bool = False,
    ) -> None:
        self._space, self._seed, self._known = space, seed, known
        self._per_second = per_second
        self._deduplicator = Deduplicator(space, KnownConstraints(constraints, known))
        self._features = Features(space, known)
        self._model = FrontModel(objectives, constraints, self._features, known)
        self._trials: dict[int, Trial] = {}
        self._asked: dict[str, Params] = {}

    @property
    def screened_out(self) -> int:
        """How many configurations were left out because they are known to break a constraint."""
        return self._deduplicator.screened_out

    def learn(self, points: Sequence[PriorPoint]) -> None:
        """Add each point to what the model is fitted to; none of them counts as seen."""
        for number, point in enumerate(points):
            self._model.observe(-1 - number, point.params, point.values)

    def observe(self, trial: Trial) -> None:
        """Learn of a trial: in flight, complete, or ended without values."""
        key = self._deduplicator.key(trial.params)
        self._deduplicator.add(key)
        self._asked.pop(key, None)
        self._trials[trial.number] = trial
        if trial.state is TrialState.COMPLETE:
            self._model.observe(trial.number, trial.params, trial.values)
        elif is_infeasible(trial):
            self._model.observe_unfit(trial.number, trial.params)
        elif trial.state is TrialState.STOPPED:
            self._model.observe_stopped(trial.number, trial.params)
        else:
            self._model.forget(trial.number)

    def suggest(self) -> Suggestion | None:
        """Propose a configuration that was not seen; None as in `Deduplicator.draw`."""
        if self._deduplicator.exhausted:
            return None
        text = f"{self._seed}/{self._deduplicator.seen}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        rng = random.Random(seed)  # noqa: S311 - nothing secret
        while candidates := self._candidates(rng):
            # Of equally good ones the first is taken, and the order of a list is no reason.
            rng.shuffle(candidates)
            chosen = candidates[self._best(candidates, seed)]
            key = self._deduplicator.key(chosen)
            # One that is known to break a constraint is left out for good.
            if self._deduplicator.is_new(key) and not self._deduplicator.screens_out(key, chosen):
                self._deduplicator.add(key)
                self._asked[key] = chosen
                return Suggestion(chosen)
        return None

    def _best(self, candidates: Sequence[Params], seed: int) -> int:
        if self._model.complete < FIRST:
            return self._farthest(candidates)
        running = [t.params for t in self._trials.values() if not t.state.is_final]
        means, deviations, feasible, expected = self._model.predict(
            candidates, [*running, *self._asked.values()]
        )
        front = np.vstack([self._model.front(), expected])
        corner = self._model.corner
        # Of a mere index the model knows nothing but sizes, too little to look beyond the front.
        if len(self._space.domains) > 1:
            corner = behind_extensions(corner, front, means, deviations, feasible)
        gain = FrontGain(front, corner, np.random.default_rng(seed))
        # Ties at no gain: the one that is nearest to being one.
        hope = 1e-9 * (corner - means).min(axis=1)
        worth = gain.of(means, deviations) * feasible
        if self._per_second:
            worth /= self._model.seconds(candidates)
        return int(np.argmax(worth + hope))

    def _farthest(self, candidates: Sequence[Params]) -> int:
        """Return the candidate that is farthest from all that was proposed."""
        taken = [*(t.params for t in self._trials.values()), *self._asked.values()]
        if not taken:
            return 0
        rows = self._features.rows([*candidates, *taken])
        spread = np.nanstd(rows, axis=0)
        scaled = rows / np.where(spread > 0, spread, 1.0)
        unordered = np.flatnonzero(self._features.unordered)
        scaled[:, unordered] = rows[:, unordered]
        here = len(candidates)
        nearest = self._features.apart(scaled[:here], scaled[here:]).sum(axis=2).min(axis=1)
        return int(np.argmax(nearest))

    def _candidates(self, rng: random.Random) -> list[dict[str, Value]]:
        """Unseen configurations, each once."""
        found: dict[str, dict[str, Value]] = {}
        if self._model.complete < FIRST:
            self._collect(found, self._draws(rng, _SPREAD_OVER), _SPREAD_OVER)
            return list(found.values()) or self._last(rng)
        size = self._space.size
        if size is not None and size <= _ALL:
            self._collect(found, self._space.grid(), _ALL)
            return list(found.values())
        members = self._model.members()
        rng.shuffle(members)
        near = (other for each in members for other in neighbors(self._space, each, rng))
        self._collect(found, near, _MOST_NEAR)
        changed = (
            mutated(self._space, rng.choice(members), 2 + rng.randrange(2), rng)
            for _ in range(_MUTATED if members else 0)
        )
        self._collect(found, changed, _MOST_NEAR + _MUTATED)
        self._collect(found, self._draws(rng, _DRAWN), _MOST_NEAR + _MUTATED + _DRAWN)
        return list(found.values()) or self._last(rng)

    def _draws(self, rng: random.Random, count: int) -> Iterable[dict[str, Value]]:
        return (self._space.sample(rng) for _ in range(count))

    def _last(self, rng: random.Random) -> list[dict[str, Value]]:
        """Find one that was not seen where all draws were: the space has to be listed for it."""
        one = self._deduplicator.draw(rng)
        return [] if one is None else [one]

    def _collect(
        self, found: dict[str, dict[str, Value]], others: Iterable[dict[str, Value]], most: int
    ) -> None:
        for params in others:
            key = self._deduplicator.canonical_key(params)
            if key not in found and self._deduplicator.is_new(key):
                found[key] = params
            if len(found) >= most:
                return
