"""Errors that a caller may want to catch; each message is a sentence for the user.

```
OrchestratorError            exit 1
├── UnknownNameError         exit 2   a sweep, trial, objective or column that does not exist
├── UsageError               exit 2   a wrong file or a wrong combination of options
├── SweepExistsError         exit 1   the name is taken by another spec
├── StorageFullError         exit 1   a disk is full; the sweep goes on when there is space
├── ClusterLostError         exit 3   the head of the Ray cluster died under a run
├── LeaseHeldError           exit 1   another driver runs this sweep
└── LeaseLostError           exit 1   this driver was replaced while it was away
```
"""

from collections.abc import Iterable

from search_spaces.errors import did_you_mean


class OrchestratorError(Exception):
    """Base of every error that the command line prints as one sentence."""

    exit_code = 1


class UsageError(OrchestratorError):
    """A file or a combination of arguments that cannot be used as it is."""

    exit_code = 2


class UnknownNameError(UsageError, LookupError):
    """A name is not one of the known names.

    Args:
        kind: What the name should have named, for example ``"sweep"``.
        name: What was given.
        known: Every name that would have been accepted.
        where: Where it was given, for example ``"sweep.yaml, scheduler.kind"``.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        place = f" in {where}" if where else ""
        hint = did_you_mean(name, self.known)
        listed = ", ".join(self.known) or "none yet"
        super().__init__(f"Unknown {kind} {name!r}{place}. Known: {listed}.{hint}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.kind, self.name, self.known)


class SweepExistsError(OrchestratorError):
    """A sweep of this name was started with another spec."""


class StorageFullError(OrchestratorError):
    """A disk is full, or a quota used up; what could not be written has to be repeated."""


class ClusterLostError(OrchestratorError):
    """The head of the Ray cluster died under a run, which goes on when there is one again."""

    exit_code = 3

    def of(self, sweep: str) -> "ClusterLostError":
        """Return the error with what to do about a sweep."""
        return ClusterLostError(f"{self} Then: paretune resume {sweep}")


class LeaseHeldError(OrchestratorError):
    """Another driver holds the sweep."""


class LeaseLostError(OrchestratorError):
    """This driver no longer holds the sweep, so that its writes are refused."""
