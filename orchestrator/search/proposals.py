"""Which trial comes next: a replicate, a sibling, or what the sampler suggests."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator.constraints import KnownConstraints
from orchestrator.contracts import Sampler, Suggestion
from orchestrator.search.cost_model import KNOWN_NAMES
from orchestrator.search.siblings import Siblings
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import Trial, Value

# How many suggestions in a row may wait for a training that is under way.
_MAX_KEPT = 8


@dataclass(frozen=True, slots=True)
class Proposal:
    """A trial that is to be stored: a configuration, and which of its seeds."""

    suggestion: Suggestion
    replicate: int = 0


class Proposals:
    """Gives one proposal after another until the space is exhausted.

    Args:
        spec: The sweep.
        sampler: Observes every trial but the reference, which is no part of the search.
        stored: All trials of earlier runs; the sampler observes them here.
        known_constraints: Which siblings are never proposed; the sampler has its own.
    """

    def __init__(
        self,
        spec: SweepSpec,
        sampler: Sampler,
        stored: Iterable[Trial],
        known_constraints: KnownConstraints | None = None,
    ) -> None:
        self._spec, self._sampler = spec, sampler
        self._siblings = Siblings(spec, known_constraints) if spec.proposes_siblings else None
        self._searched = False
        self._exhausted = False
        stored = list(stored)
        self._wanted = deque(_missing_replicates(stored, spec.replicates))
        for trial in stored:
            self.observe(trial)

    def observe(self, trial: Trial) -> None:
        """Take a trial into account, when it is stored and again when its state has changed."""
        if not trial.is_reference:
            self._searched = True
            self._sampler.observe(trial)
            if self._siblings is not None:
                self._siblings.observe(trial)

    def next(self) -> Proposal | str:
        """Return the next proposal, or the reason why no configuration is left."""
        if self._wanted:
            return self._wanted.popleft()
        # Before the sampler is asked: siblings are cheap, and it learns from them.
        found = self._sibling()
        if found is None and not self._exhausted:
            found = self._suggested() or self._sibling()
        return found or self._no_more()

    @property
    def exhausted(self) -> bool:
        """Whether the search is over because there is no other configuration."""
        return self._exhausted

    def _sibling(self) -> Proposal | None:
        found = None if self._siblings is None else self._siblings.next()
        return None if found is None else Proposal(*found)

    def _suggested(self) -> Proposal | None:
        """The first replicate of what the sampler suggests; None if it knows nothing new."""
        for attempt in range(_MAX_KEPT + 1):
            suggestion = self._sampler.suggest()
            if suggestion is None:
                break
            siblings = self._siblings if attempt < _MAX_KEPT else None
            if siblings is None or not siblings.keeps(suggestion):
                self._wanted.extend(Proposal(suggestion, n) for n in range(self._spec.replicates))
                return self._wanted.popleft()
        if self._siblings is not None:
            self._siblings.give_up()
        return None

    def _no_more(self) -> str:
        """Why the sampler has no further configuration."""
        self._exhausted = True
        known = [str(limit) for limit in self._spec.limits if limit.name in KNOWN_NAMES]
        if not self._sampler.screened_out:
            return "every configuration of the space was tried"
        if self._searched:
            return f"every configuration that can meet {' and '.join(known)} was tried"
        return f"no configuration of the space can meet {' and '.join(known)}"


def _missing_replicates(trials: Iterable[Trial], replicates: int) -> Iterator[Proposal]:
    """Replicates that a driver had still to store when it died, by configuration.

    Those of siblings are left to `Siblings`, which knows their origins.
    """
    seen: dict[tuple[tuple[str, Value], ...], list[Trial]] = {}
    for trial in trials:
        if not trial.is_reference and trial.origin is None:
            seen.setdefault(tuple(sorted(trial.params.items())), []).append(trial)
    for same in seen.values():
        suggestion = Suggestion(same[0].params, same[0].sampler_attrs)
        yield from (Proposal(suggestion, number) for number in range(len(same), replicates))
