"""Configurations that share a finished training: no more than their measurement is left to do."""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice

from orchestrator.constraints import KnownConstraints
from orchestrator.contracts import Suggestion
from orchestrator.search.acquisition import Acquisition
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import Params, Trial, TrialState, Value
from search_spaces import Domain, SearchSpace
from trainers.config import TrialConfig, with_params
from trainers.stages.keys import after_training, training_key

MAX_SIBLINGS = 16
"""Of one training. More would spend a budget of trials on a few trainings."""

# How many of those that wait are compared; a proposal should not take longer with more.
_COMPARED = 100


def siblings(space: SearchSpace, fixed: TrialConfig, params: Params) -> Iterator[dict[str, Value]]:
    """Yield the other configurations of a space that share the training of `params`.

    They differ only in parameters that are not read before the network is trained. Those that
    differ in fewer come first, in the order of the space. A parameter with a continuous range
    keeps its value in `params`.

    Args:
        space: Where to look.
        fixed: What all trials of the sweep share.
        params: Active parameters of a configuration.

    >>> from search_spaces import load_space
    >>> space = load_space("smoke")
    >>> fixed = TrialConfig(backbone="digitnet", weights="scratch")
    >>> list(siblings(space, fixed, {"fc_width_1": 8, "bits": 4}))
    [{'fc_width_1': 8, 'bits': 8}]
    """
    config = with_params(fixed, params, seed=0)
    free = after_training(config.qat) & space.domains.keys()
    for changes in range(1, len(free) + 1):
        for other in _changed(space, params, free, changes):
            if _shares(config, fixed, other):
                yield other


class Siblings:
    """Gives the siblings of every configuration whose trials are complete, each once.

    A configuration whose training is under way can be kept until that is over: then it costs no
    more than its measurement, and until then it would be trained a second time.

    What it gives follows from the stored trials alone, so that a driver that takes up a sweep
    goes on where another one died. The siblings of a configuration are the first `MAX_SIBLINGS`
    that `siblings` lists and no constraint refuses, whether or not they were tried; siblings have
    none themselves. Of those that wait the one comes first that promises most
    (`orchestrator.search.acquisition`): some bit-widths are hopeless, and the first few trials
    show it.

    Args:
        spec: The sweep.
        known_constraints: Which configurations are never proposed.
    """

    def __init__(self, spec: SweepSpec, known_constraints: KnownConstraints | None = None) -> None:
        self._known_constraints = known_constraints or KnownConstraints()
        self._space, self._fixed = spec.search_space, spec.trial_config()
        self._replicates = spec.replicates
        self._stored: dict[str, dict[int, Trial]] = {}
        self._over: set[str] = set()
        self._waiting: deque[tuple[Suggestion, int]] = deque()
        self._running: dict[int, str] = {}
        self._kept: dict[str, list[Suggestion]] = {}
        self._trainings: dict[str, str] = {}
        free = after_training(self._fixed.qat) & self._space.domains.keys()
        self._free = tuple(name for name in self._space.names if name in free)
        self._acquisition = Acquisition(
            spec.directed, self._known_constraints.known, self._factors
        )

    def observe(self, trial: Trial) -> None:
        """Learn of a trial that is no reference, when it is stored and when its state changed."""
        key = self._key(trial.params)
        same = self._stored.setdefault(key, {})
        same[trial.replicate] = trial
        self._follow(trial)
        if trial.state is TrialState.COMPLETE:
            self._acquisition.observe(trial)
        if trial.origin is not None or key in self._over or len(same) < self._replicates:
            return
        if all(each.state is TrialState.COMPLETE for each in same.values()):
            self._over.add(key)
            self._add_siblings(trial.params, same)

    def keeps(self, suggestion: Suggestion) -> bool:
        """Keep a suggestion whose training is under way; returns whether it was kept."""
        training = self._training(suggestion.params)
        is_running = training in self._running.values()
        if is_running:
            self._kept.setdefault(training, []).append(suggestion)
        return is_running

    def give_up(self) -> None:
        """Release the kept suggestions, because nothing else is left to do."""
        for training in list(self._kept):
            self._release(training)

    def next(self) -> tuple[Suggestion, int] | None:
        """Return a sibling that is not stored, and its replicate; None if there is none."""
        for waiting in list(self._waiting):
            suggestion, replicate = waiting
            if replicate in self._stored.get(self._key(suggestion.params), ()):
                self._waiting.remove(waiting)
        if not self._waiting:
            return None
        first = list(islice(self._waiting, _COMPARED))
        chosen = first[self._acquisition.best([suggestion.params for suggestion, _ in first])]
        self._waiting.remove(chosen)
        return chosen

    def _follow(self, trial: Trial) -> None:
        """Notice which trainings are under way."""
        if not trial.state.is_final:
            self._running.setdefault(trial.number, self._training(trial.params))
            return
        training = self._running.pop(trial.number, "")
        if training not in self._running.values():
            self._release(training)

    def _release(self, training: str) -> None:
        self._waiting.extend(
            (suggestion, replicate)
            for suggestion in self._kept.pop(training, ())
            for replicate in range(self._replicates)
        )

    def _factors(self, params: Params) -> tuple[object, ...]:
        """What siblings differ in, and what they share."""
        return (*(params.get(name) for name in self._free), self._training(params))

    def _training(self, params: Params) -> str:
        """Names the training of a configuration; empty if no network has these parameters."""
        key = self._key(params)
        if key not in self._trainings:
            try:
                self._trainings[key] = training_key(with_params(self._fixed, params, seed=0))
            except ValueError:
                self._trainings[key] = ""
        return self._trainings[key]

    def _add_siblings(self, params: Params, origins: Mapping[int, Trial]) -> None:
        listed = siblings(self._space, self._fixed, params)
        possible = (other for other in listed if not self._known_constraints.broken(other))
        for other in islice(possible, MAX_SIBLINGS):
            # Each replicate has the training of the origin's replicate with the same seed.
            self._waiting.extend(
                (Suggestion(other, {"origin": origin.number}), replicate)
                for replicate, origin in sorted(origins.items())
            )

    def _key(self, params: Params) -> str:
        return json.dumps(self._space.canonical(params))


def _shares(config: TrialConfig, fixed: TrialConfig, params: Params) -> bool:
    try:
        return training_key(with_params(fixed, params, seed=config.seed)) == training_key(config)
    except ValueError:  # no network has these parameters
        return False


def _changed(
    space: SearchSpace, params: Params, free: frozenset[str], changes: int
) -> Iterator[dict[str, Value]]:
    """Yield configurations in which this many free parameters differ from `params` or are new."""

    def completed(index: int, chosen: dict[str, Value], left: int) -> Iterator[dict[str, Value]]:
        if index == len(space.names):
            if not left:
                yield chosen
            return
        name = space.names[index]
        condition = space.conditions.get(name)
        if condition is not None and not condition.holds(chosen):
            yield from completed(index + 1, chosen, left)
            return
        for value in _others(space.domains[name], params.get(name)) if name in free else ():
            if not left:
                break
            yield from completed(index + 1, {**chosen, name: value}, left - 1)
        if name in params:
            yield from completed(index + 1, {**chosen, name: params[name]}, left)

    return completed(0, {}, changes)


def _others(domain: Domain, value: Value | None) -> Iterator[Value]:
    """The values of a domain that can be listed but for one."""
    return (other for other in domain.values() if other != value) if domain.size else iter(())
