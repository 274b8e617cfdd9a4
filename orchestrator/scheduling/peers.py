"""Who may be compared with whom at a milestone: a view of the stored reports."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from orchestrator.contracts import KnownValues, Store, nothing_known
from orchestrator.trials import Report, Trial
from trainers.evaluators.config import AT_MILESTONE


class Peers:
    """The trials that were measured at each milestone, by what a scheduler compares.

    Peers reported at the same epoch of trainings of equally many epochs: the learning rate falls
    to zero at the last one, so that epoch 3 of 9 and epoch 3 of 27 are different things. What
    was measured is listed by the name of the objective that it stands for, beside what is known
    of the configuration. The reference is nobody's peer.

    Whatever became of a trial, and whoever drove the sweep, what it reported counts: rebuilt
    from the store, a view is the same.

    Args:
        epochs: Of a training whose params do not say how many.
        known: What is known of a configuration before it is trained.
    """

    def __init__(self, epochs: int, known: KnownValues = nothing_known) -> None:
        self._epochs, self._known = epochs, known
        self._measured: defaultdict[tuple[int, object], dict[int, Mapping[str, float]]]
        self._measured = defaultdict(dict)
        self._reached: dict[int, int] = {}
        self._passed: dict[int, int] = {}

    def take_up(
        self, store: Store, sweep: str, trials: Mapping[int, Trial], milestones: Iterable[int]
    ) -> None:
        """Observe what is stored, as far as it can still be asked for."""
        milestones = tuple(milestones)
        for epoch in milestones:
            for number, values in store.reports_at(sweep, epoch).items():
                self.observe(trials[number], Report(epoch, values))
        for number, trial in trials.items():
            if milestones and not trial.state.is_final:
                for report in store.reports(sweep, number):
                    self.observe(trial, report)

    def observe(self, trial: Trial, report: Report) -> None:
        """Take a report into account; one that is told again replaces itself."""
        reached = self._reached.get(trial.number, 0)
        self._reached[trial.number] = max(reached, report.epoch)
        measured = {
            name.removeprefix(AT_MILESTONE): value
            for name, value in report.values.items()
            if name.startswith(AT_MILESTONE)
        }
        if measured and not trial.is_reference:
            peers = self._measured[report.epoch, self._total(trial)]
            peers[trial.number] = {**self._known(trial.params), **measured}

    def of(self, trial: Trial, epoch: int) -> Mapping[int, Mapping[str, float]]:
        """Values at a milestone by trial number, for the verdict on a trial that reported there.

        Returns:
            With the trial itself; empty if there is nothing to judge, because it was not
            measured there, or went on long ago and only tells of it again.
        """
        number = trial.number
        peers = self._measured.get((epoch, self._total(trial)), {})
        is_due = number in peers and self._reached[number] == epoch > self._passed.get(number, 0)
        return peers if is_due else {}

    def pass_by(self, trial: int) -> None:
        """Let a trial go on that was stopped: what it has reported is not judged again."""
        self._passed[trial] = self._reached.get(trial, 0)

    def level(self, trial: Trial) -> tuple[int, object]:
        """The last epoch that a trial reported, and of how many: who shares both are peers."""
        return self._reached.get(trial.number, 0), self._total(trial)

    def at(self, level: tuple[int, object]) -> Mapping[int, Mapping[str, float]]:
        """What was measured at a level, by trial number."""
        return self._measured.get(level, {})

    def _total(self, trial: Trial) -> object:
        return trial.params.get("epochs", self._epochs)
