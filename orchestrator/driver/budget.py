"""When a sweep may start nothing more, or must stop what runs, and why."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import Path

from orchestrator.driver.device_hours import DeviceHours
from orchestrator.driver.leftovers import used_bytes
from orchestrator.search.plateau import plateau_of
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import Attempt, Trial


class Budget:
    """Every limit of a sweep: trials, wall clock, device hours, disk, and a plateau of the front.

    Each limit is stated as a sentence once it is reached, and as an empty string before.

    Args:
        spec: The sweep.
        folder: Holds the files of its trials.
        clock: Seconds; only differences count. The wall-clock budget starts now.
    """

    def __init__(self, spec: SweepSpec, folder: Path, clock: Callable[[], float]) -> None:
        self._budget, self._folder, self._clock = spec.budget, folder, clock
        self._began = clock()
        self._hours = DeviceHours(spec.budget, spec.resources, clock)
        self._plateau = plateau_of(spec.budget.plateau, spec.directed, spec.limits)
        self._stored: set[int] = set()
        self._over_time = ""
        self._over_disk = ""

    def take_up(
        self, trials: Iterable[Trial], attempts: Callable[[int], Iterable[Attempt]]
    ) -> None:
        """Count what earlier runs of the sweep used.

        Args:
            trials: All that are stored.
            attempts: Looks up the attempts of a trial by its number.
        """
        trials = list(trials)
        self._stored |= {trial.number for trial in trials}
        # A plateau depends on the order in which an earlier driver saw the trials end.
        for trial in sorted((t for t in trials if t.ended), key=attrgetter("ended")):
            self.observe(trial)
        if self._hours.is_limited:
            for trial in trials:
                self._hours.add(attempts(trial.number))

    def observe(self, trial: Trial) -> None:
        """Count a trial that was stored, or take into account how it ended."""
        self._stored.add(trial.number)
        if self._plateau is not None and not trial.is_reference:
            self._plateau.observe(trial)

    def attempt_began(self, trial: int) -> None:
        """Start counting the device hours of an attempt."""
        self._hours.began(trial)

    def attempt_ended(self, trial: int) -> None:
        """Add the device hours of an attempt that is over."""
        self._hours.ended(trial)

    @property
    def trials_left(self) -> int:
        """How many further trials may be stored."""
        return max(0, self._budget.trials - len(self._stored))

    def over_time(self) -> str:
        """Return which time limit interrupts the running trials; a reached limit stays reached."""
        seconds = self._budget.seconds
        if not self._over_time:
            self._over_time = self._hours.used_up()
        if not self._over_time and seconds is not None and self._elapsed() >= seconds:
            self._over_time = f"the wall-clock budget of {seconds:g} s is used up"
        return self._over_time

    def over_disk(self, make_room: Callable[[], object]) -> str:
        """Return that the disk budget is used up, even after unneeded files were removed.

        Args:
            make_room: Removes what may go; called only where the limit is reached.
        """
        limit = self._budget.disk
        if self._over_disk or limit is None or used_bytes(self._folder) < limit:
            return self._over_disk
        make_room()
        used = used_bytes(self._folder)
        if used >= limit:
            self._over_disk = f"the disk budget of {limit:,.0f} bytes is used up ({used:,})"
        return self._over_disk

    def over_trials(self) -> str:
        """Return why no further trial is stored: used-up budget or plateau."""
        if not self.trials_left:
            return f"the budget of {self._budget.trials} trials is used up"
        if self._plateau is not None and self._plateau.reached:
            return self._plateau.reason
        return ""

    def _elapsed(self) -> float:
        return self._clock() - self._began
