"""Which of the stopped trials goes on when nothing new is left to try."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.contracts import Scheduler
from orchestrator.scheduling.peers import Peers
from orchestrator.trials import Trial, TrialState


class Promotion:
    """Resumes stopped trials in turn: those with the most epochs first, and the best among them.

    A scheduler stops a trial in favour of others. Once a small space has no others left, that
    reason is gone: early values are only an estimate, and some of the stopped trials belong to
    the front. Each is resumed once per round; a trial that is stopped again, at a later
    milestone, waits for the next round.

    Args:
        peers: What was reported.
        scheduler: Orders the trials of one milestone.
    """

    def __init__(self, peers: Peers, scheduler: Scheduler) -> None:
        self._peers, self._scheduler = peers, scheduler
        self._round: deque[int] = deque()

    def next(self, trials: Mapping[int, Trial]) -> Trial | None:
        """Return the next stopped trial among `trials`, by number; None if there is none."""
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
