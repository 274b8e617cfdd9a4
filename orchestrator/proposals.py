"""Which trial comes next, or why none does: the sampler, its replicates, and the limits."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator.contracts import Sampler, Suggestion
from orchestrator.spec import SweepSpec
from orchestrator.stopping import Plateau
from orchestrator.trials import Trial, Value


@dataclass(frozen=True, slots=True)
class Proposal:
    """A trial that is to be stored: a configuration, and which of its seeds."""

    suggestion: Suggestion
    replicate: int = 0


class Proposals:
    """Gives one proposal after another until a limit of the search is reached.

    Args:
        spec: The sweep.
        sampler: Is told of every trial but the reference, which is no part of the search.
        stored: The trials of earlier runs, all of them; whoever searches is told of them here.
    """

    def __init__(self, spec: SweepSpec, sampler: Sampler, stored: Iterable[Trial]) -> None:
        self._spec, self._sampler = spec, sampler
        self._plateau = Plateau(spec.directed, spec.limits, spec.budget.plateau)
        self._stored: set[int] = set()
        stored = list(stored)
        self._wanted = deque(_missing_replicates(stored, spec.replicates))
        for trial in stored:
            self.observe(trial)

    def observe(self, trial: Trial) -> None:
        """Take a trial into account: newly stored, or with what became of it."""
        self._stored.add(trial.number)
        if not trial.is_reference:
            self._sampler.observe(trial)
            self._plateau.observe(trial)

    def next(self) -> Proposal | str:
        """The next proposal, or why the search is over."""
        budget = self._spec.budget
        if len(self._stored) >= budget.trials:
            return f"the budget of {budget.trials} trials is used up"
        if self._plateau.reached:
            return f"{budget.plateau} trials in a row did not change the front"
        if not self._wanted:
            suggestion = self._sampler.suggest()
            if suggestion is None:
                return "every configuration of the space was tried"
            self._wanted.extend(Proposal(suggestion, n) for n in range(self._spec.replicates))
        return self._wanted.popleft()


def _missing_replicates(trials: Iterable[Trial], replicates: int) -> Iterator[Proposal]:
    """Replicates that a driver had still to store when it died, by configuration."""
    seen: dict[tuple[tuple[str, Value], ...], list[Trial]] = {}
    for trial in trials:
        if not trial.is_reference:
            seen.setdefault(tuple(sorted(trial.params.items())), []).append(trial)
    for same in seen.values():
        suggestion = Suggestion(same[0].params, same[0].sampler_attrs)
        yield from (Proposal(suggestion, number) for number in range(len(same), replicates))
