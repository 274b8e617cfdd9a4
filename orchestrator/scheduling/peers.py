"""Which trials may be compared at a milestone: a view of the stored reports."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from orchestrator.contracts import KnownValues, Store, nothing_known
from orchestrator.trials import Report, Trial
from trainers.evaluators.config import AT_MILESTONE


class Peers:
    """The trials that were measured at each milestone, by what a scheduler compares.

    Peers reported at the same epoch of trainings with the same number of epochs: the learning
    rate falls to zero at the last one, so that epoch 3 of 9 is not comparable with epoch 3 of 27.
    Each measurement is listed under the name of the objective that it estimates, together with
    what is known of the configuration. The reference is never a peer.

    Every report counts, whatever the final state of its trial and whichever driver recorded it: a
    view rebuilt from the store is the same.

    Args:
        epochs: Number of epochs of a training whose params do not set it.
        known: What is known of a configuration before it is trained.
        lag: Of a reproducible sweep (`orchestrator.search.in_order`): a trial is compared with
            those alone whose results its own proposal has seen, which are all over. None compares
            it with all.
    """

    def __init__(
        self, epochs: int, known: KnownValues = nothing_known, lag: int | None = None
    ) -> None:
        self._epochs, self._known, self._lag = epochs, known, lag
        self._measured: defaultdict[tuple[int, object], dict[int, Mapping[str, float]]]
        self._measured = defaultdict(dict)
        self._reached: dict[int, int] = {}
        self._passed: dict[int, int] = {}

    def take_up(
        self, store: Store, sweep: str, trials: Mapping[int, Trial], milestones: Iterable[int]
    ) -> None:
        """Observe the stored reports that a later verdict may need."""
        milestones = tuple(milestones)
        for epoch in milestones:
            for number, values in store.reports_at(sweep, epoch).items():
                self.observe(trials[number], Report(epoch, values))
        for number, trial in trials.items():
            if milestones and not trial.state.is_final:
                for report in store.reports(sweep, number):
                    self.observe(trial, report)

    def observe(self, trial: Trial, report: Report) -> None:
        """Take a report into account; a repeated one replaces itself."""
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
        """Return the peers' values at a milestone, for the verdict on a trial that reported there.

        Returns:
            The values, those of the trial itself included; empty if there is nothing to judge,
            because it was not measured there, or passed before and only repeats its report.
        """
        number = trial.number
        peers = self._measured.get((epoch, self._total(trial)), {})
        is_due = number in peers and self._reached[number] == epoch > self._passed.get(number, 0)
        return self._seen(number, peers) if is_due else {}

    def _seen(
        self, number: int, peers: Mapping[int, Mapping[str, float]]
    ) -> Mapping[int, Mapping[str, float]]:
        """Leave out what came in, or did not, by the chances of timing."""
        if self._lag is None:
            return peers
        last = number - self._lag
        return {n: peers[n] for n in sorted(peers) if n <= last or n == number}

    def pass_by(self, trial: int) -> None:
        """Let a stopped trial go on: what it has already reported is not judged again."""
        self._passed[trial] = self._reached.get(trial, 0)

    def level(self, trial: Trial) -> tuple[int, object]:
        """Return a trial's last reported epoch and its total; trials that share both are peers."""
        return self._reached.get(trial.number, 0), self._total(trial)

    def at(self, level: tuple[int, object]) -> Mapping[int, Mapping[str, float]]:
        """Return what was measured at a level, by trial number."""
        return self._measured.get(level, {})

    def _total(self, trial: Trial) -> object:
        return trial.params.get("epochs", self._epochs)
