"""What trials did: recordings by configuration and seed, from which a sweep can be simulated.

Two values of an epoch are times: ``seconds``, which it took, and ``milestone_s``, which measuring
takes where it is a milestone. Two of a finished trial are: ``train_s``, which may hold a start
beside its epochs, and ``eval_s``.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.trials import Params, Report, TrialState


@dataclass(frozen=True, slots=True)
class Recording:
    """What one trial did.

    Attributes:
        params: Its configuration.
        seed: Its seed.
        values: What was measured of it in the end.
        reports: Its epochs, from the first to the last; empty if only the end is known.
    """

    params: Params
    seed: int
    values: Mapping[str, float]
    reports: tuple[Report, ...] = ()

    def __post_init__(self) -> None:
        """Check that it can be replayed.

        Raises:
            UsageError: An epoch is missing, or its time, or a time is no number of seconds.
        """
        epochs = [report.epoch for report in self.reports]
        if epochs != list(range(1, len(epochs) + 1)):
            raise UsageError(
                f"The recording of {shown(self.params)} has the epochs {epochs}, but needs each "
                f"one from 1 to its last."
            )
        if not epochs:
            times = [self.values.get("eval_s", 0.0), self.values.get("train_s", math.nan)]
        else:
            times = self._times_of_epochs()
        if not all(math.isfinite(time) and time >= 0 for time in times):
            raise UsageError(
                f"The recording of {shown(self.params)} does not say how long it took: each "
                f"epoch needs 'seconds', and one without epochs 'train_s'; of at least 0."
            )

    def _times_of_epochs(self) -> list[float]:
        times = [self.values.get("eval_s", 0.0), self.values.get("train_s", 0.0)]
        times += [report.values.get("seconds", math.nan) for report in self.reports]
        times += [report.values.get("milestone_s", 0.0) for report in self.reports]
        return times

    @property
    def start_s(self) -> float:
        """Seconds of training that belong to no epoch."""
        epochs = sum(report.values["seconds"] for report in self.reports)
        return max(0.0, self.values.get("train_s", 0.0) - epochs)

    @property
    def eval_s(self) -> float:
        """Seconds from the last epoch to the measured values."""
        return self.values.get("eval_s", 0.0)


Lookup = Callable[[Params, int], Recording]
"""Gives the recording of a configuration with a seed: a table's, or a function's."""


@dataclass(frozen=True, slots=True)
class Table:
    """Recordings by configuration and seed.

    Attributes:
        recordings: In the order in which they were given; at least one.
        source: Where they come from, for messages.
        notes: What was assumed of it, as phrases.
    """

    recordings: tuple[Recording, ...]
    source: str = "the table"
    notes: tuple[str, ...] = ()
    _found: dict[object, dict[int, Recording]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Index the recordings; of two of the same configuration and seed the last one counts.

        Raises:
            UsageError: There is none.
        """
        if not self.recordings:
            raise UsageError(f"{self.source} holds no complete trial, so nothing can be replayed.")
        for recording in self.recordings:
            by_seed = self._found.setdefault(_key(recording.params), {})
            by_seed[recording.seed] = recording

    @property
    def configurations(self) -> int:
        """How many there are, whatever the number of their seeds."""
        return len(self._found)

    def by_configuration(self) -> Iterable[Mapping[int, Recording]]:
        """Return the recordings of each configuration by their seeds."""
        return self._found.values()

    def __contains__(self, params: Params) -> bool:
        """Whether there is a recording of this configuration."""
        return _key(params) in self._found

    def recording(self, params: Params, seed: int) -> Recording:
        """Return the recording of a configuration with a seed.

        A seed that was not recorded is mapped to one that was, by counting through them in turn.

        Raises:
            OrchestratorError: The configuration was not recorded.
        """
        by_seed = self._found.get(_key(params))
        if by_seed is None:
            raise OrchestratorError(
                f"{self.source} has no trial with {shown(params)} that could be replayed: it "
                f"holds {len(self._found)} configurations. Simulate a space of which each "
                f"configuration was recorded, for example by a sweep with sampler.kind=grid."
            )
        return _of_seed(by_seed, seed)

    def of_seed(self, seed: int) -> Iterator[Recording]:
        """Yield the recordings that a sweep with this seed can meet, one per configuration."""
        for by_seed in self._found.values():
            yield _of_seed(by_seed, seed)

    @classmethod
    def of_sweep(cls, name: str, store: Store) -> "Table":
        """Build a table of the complete trials of a stored sweep.

        Raises:
            UnknownNameError: There is no such sweep.
            UsageError: It has no complete trial.
        """
        complete = store.trials(name, [TrialState.COMPLETE])
        return cls(
            tuple(
                Recording(
                    trial.params,
                    trial.seed,
                    trial.values,
                    tuple(store.reports(name, trial.number)),
                )
                for trial in complete
            ),
            f"Sweep {name!r}",
        )


def _of_seed(by_seed: Mapping[int, Recording], seed: int) -> Recording:
    return by_seed[seed] if seed in by_seed else by_seed[sorted(by_seed)[seed % len(by_seed)]]


def _key(params: Params) -> object:
    # To Python True == 1, which is another value of a parameter.
    return frozenset((name, isinstance(value, bool), value) for name, value in params.items())


def shown(params: Params) -> str:
    """Format a configuration for messages.

    >>> shown({"bits": 4, "lr": 0.1}), shown({})
    ('bits=4, lr=0.1', 'no parameters')
    """
    return ", ".join(f"{name}={value}" for name, value in params.items()) or "no parameters"
