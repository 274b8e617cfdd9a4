"""Schedulers that a user brings along."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.contracts import Decision
from orchestrator.errors import UsageError
from trainers.doors import FOREIGN_ERRORS, DoorError, load_reference, say_if_slow, shown_error

_PROTOCOL = ("decide", "best_first")
Peers = Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class OwnScheduler:
    """A scheduler of a user's own, whose answers are checked.

    Attributes:
        name: What the sweep file calls it.
        brought: What the user's code returned.
        milestones: Its epochs, ascending.
    """

    name: str
    brought: Any
    milestones: tuple[int, ...]

    def decide(self, trial: int, epoch: int, peers: Peers) -> Decision:
        """Ask whether a trial goes on.

        Raises:
            UsageError: It raises, or answers with anything but a `Decision` or its word.
        """
        asked = f"scheduler: {self.name} was asked for trial {trial} after epoch {epoch}"
        try:
            answer = self.brought.decide(trial, epoch, peers)
        except FOREIGN_ERRORS as error:
            raise UsageError(f"{asked}, and raised {shown_error(error)}") from error
        try:
            return Decision(answer)
        except ValueError:
            raise UsageError(
                f"{asked}, and answered {answer!r:.100}; a Decision of orchestrator.contracts is "
                f"needed, or its word: {' or '.join(Decision)}."
            ) from None

    def best_first(self, peers: Peers) -> Sequence[int]:
        """Ask for the order of trials.

        Raises:
            UsageError: It raises, or leaves out a trial, or has one twice.
        """
        asked = f"scheduler: {self.name} was asked for the order of {len(peers)} trials"
        try:
            order = list(self.brought.best_first(peers))
        except FOREIGN_ERRORS as error:
            raise UsageError(f"{asked}, and raised {shown_error(error)}") from error
        if sorted(order) != sorted(peers):
            raise UsageError(f"{asked}, and answered {order!r:.100}; each is needed once.")
        return order


def made_by(
    reference: str, given: Mapping[str, Any], options: Mapping[str, Any], epochs: int
) -> OwnScheduler:
    """Build a scheduler with a function or a class of a user's own, and ask it once.

    Args:
        reference: Resolved.
        given: What it is called with, by name, where it has a parameter for that.
        options: Further arguments.
        epochs: Maximum number of epochs of a trial.

    Raises:
        UsageError: The code is missing, raises, or builds no scheduler.

    >>> made_by("statistics:fmean", {}, {"data": [1, 2]}, epochs=3)
    Traceback (most recent call last):
    orchestrator.errors.UsageError: scheduler: statistics:fmean returned 1.5, which lacks ...
    """
    try:
        make = load_reference(reference)
        taken = inspect.signature(make).parameters
        used = {name: value for name, value in given.items() if name in taken}
        with say_if_slow(f"scheduler: {reference}"):
            brought = make(**used, **options)
    except DoorError as error:
        raise UsageError(f"scheduler: {error}") from None
    except FOREIGN_ERRORS as error:
        raise UsageError(
            f"scheduler: {reference} was called with {', '.join(options) or 'no option'}, and "
            f"raised {shown_error(error)}"
        ) from error
    lacking = [each for each in _PROTOCOL if not callable(getattr(brought, each, None))]
    if lacking or not hasattr(brought, "milestones"):
        raise UsageError(
            f"scheduler: {reference} returned {brought!r:.100}, which lacks "
            f"{', '.join(lacking or ['milestones'])}. See orchestrator.contracts.Scheduler."
        )
    made = OwnScheduler(reference, brought, _milestones(reference, brought.milestones, epochs))
    if made.milestones:
        made.decide(0, made.milestones[0], {0: {}})
    return made


def _milestones(reference: str, given: object, epochs: int) -> tuple[int, ...]:
    found = tuple(given) if isinstance(given, list | tuple) else ()
    if list(found) != given and found != given:
        found = (0,)
    rises = all(type(each) is int and 1 <= each < epochs for each in found)
    if not rises or list(found) != sorted(set(found)):
        raise UsageError(
            f"scheduler: {reference} has the milestones {given!r:.100}; epochs from 1 to "
            f"{epochs - 1}, before the last one, are needed in ascending order."
        )
    return found
