"""Which of the stopped trials goes on when nothing new is left to try."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.contracts import Scheduler
from orchestrator.scheduling.peers import Peers
from orchestrator.trials import Trial, TrialState


class Promotion:
    """Gives stopped trials in turn: those that got furthest first, and of these the best.

    A scheduler stops a trial in favour of others. Where a small space has no others any more, the
    verdict has lost its reason: early values are only an estimate, and members of the front are
    among those that were stopped. Each is given once a round; who is stopped again, at a later
    milestone, waits for the next one.

    Args:
        peers: What was reported.
        scheduler: Whose order counts.
    """

    def __init__(self, peers: Peers, scheduler: Scheduler) -> None:
        self._peers, self._scheduler = peers, scheduler
        self._round: deque[int] = deque()

    def next(self, trials: Mapping[int, Trial]) -> Trial | None:
        """The next of the stopped ones among `trials`, by number; None if there is none."""
        if not self._round:
            stopped = (each for each in trials.values() if each.state is TrialState.STOPPED)
            self._round.extend(self._ordered(stopped))
        return trials[self._round.popleft()] if self._round else None

    def _ordered(self, stopped: Iterable[Trial]) -> Iterator[int]:
        levels: defaultdict[tuple[int, object], set[int]] = defaultdict(set)
        for trial in stopped:
            levels[self._peers.level(trial)].add(trial.number)
        for level in sorted(levels, key=lambda level: level[0], reverse=True):
            order = self._scheduler.best_first(self._peers.at(level))
            yield from (number for number in order if number in levels[level])
