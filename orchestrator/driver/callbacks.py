"""Tells callbacks of a user's own what happens, beside what shows it to the user."""

import inspect
import logging
from collections.abc import Callable, Iterable, Sequence

from orchestrator.contracts import Plan, Progress
from orchestrator.contracts.callbacks import EVENTS, Callback
from orchestrator.errors import UsageError
from orchestrator.fronts.front import compute_front
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import Report, SweepRecord, Trial, TrialState
from trainers.doors import FOREIGN_ERRORS, DoorError, load_reference, say_if_slow, shown_error

logger = logging.getLogger(__name__)


def load_callbacks(references: Iterable[str]) -> list[object]:
    """Import the callbacks of a sweep file; a class is called without arguments.

    Raises:
        UsageError: One is missing, cannot be made, or hears of nothing.

    >>> load_callbacks(["statistics:fmean"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.errors.UsageError: callbacks: statistics:fmean has none of on_sweep_start, ...
    """
    return [_loaded(reference) for reference in references]


def check_callbacks(spec: SweepSpec) -> None:
    """Import the callbacks of a sweep file, and call none of their methods.

    Raises:
        UsageError: As `load_callbacks`.

    >>> from orchestrator.spec.files import load_sweep
    >>> check_callbacks(load_sweep("examples/sweeps/digits.yaml"))
    """
    load_callbacks(spec.callbacks)


def checked(callback: object, name: str = "") -> object:
    """Return a callback, unless it hears of nothing.

    Raises:
        UsageError: It has no method of a callback, or something else by that name.

    >>> checked("a text")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.errors.UsageError: callbacks: str has none of on_sweep_start, on_trial_start, ...
    """
    shown = name or type(callback).__name__
    heard = [event for event in EVENTS if callable(getattr(callback, event, None))]
    if not heard:
        raise UsageError(
            f"callbacks: {shown} has none of {', '.join(EVENTS)}, so that it would never be "
            f"called. Subclass orchestrator.Callback, or give it one of these methods."
        )
    for event in heard:
        _check_signature(shown, event, getattr(callback, event))
    return callback


def _check_signature(shown: str, event: str, method: Callable[..., object]) -> None:
    """Refuse a method that takes something else than it is called with."""
    facts = list(inspect.signature(getattr(Callback, event)).parameters)[1:]
    called = f"callbacks: {event} of {shown} is called with {' and '.join(facts)}"
    if inspect.iscoroutinefunction(method):
        raise UsageError(f"{called}, and nothing awaits it: write def, and not async def.")
    try:
        inspect.signature(method).bind(*facts)
    except TypeError as error:
        raise UsageError(
            f"{called}, which it does not take ({error}): write "
            f"def {event}({', '.join(('self', *facts))})."
        ) from None
    except ValueError:  # code without a signature, in C
        return


def with_callbacks(shown: Progress, passed: Sequence[object], spec: SweepSpec) -> Progress:
    """Return what tells the callbacks of a sweep, beside what shows events to the user.

    Args:
        shown: What shows events to the user.
        passed: Objects, beside those that the spec names.
        spec: The sweep.

    Raises:
        UsageError: A callback cannot be used.

    >>> from orchestrator.contracts import Silent
    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> type(with_callbacks(Silent(), (), spec)).__name__
    'Silent'
    """
    callbacks = [*load_callbacks(spec.callbacks), *map(checked, passed)]
    return CalledBack(shown, callbacks, spec) if callbacks else shown


class CalledBack:
    """Passes events on, and calls callbacks. See `orchestrator.contracts.Progress`.

    Args:
        shown: What shows the events to the user; it receives them first.
        callbacks: Objects with some of the methods of `Callback`.
        spec: The sweep, for its front.
    """

    def __init__(self, shown: Progress, callbacks: Sequence[object], spec: SweepSpec) -> None:
        self._shown, self._callbacks = shown, callbacks
        self._objectives, self._limits = spec.directed, spec.limits
        self._front: tuple[Trial, ...] = ()

    def begin(self, plan: Plan) -> None:
        """Tell that the run begins."""
        self._shown.begin(plan)
        complete = [trial for trial in plan.past if trial.state is TrialState.COMPLETE]
        self._front = self._front_of(complete)
        self._call("on_sweep_start", plan)

    def note(self, text: str) -> None:
        """Show a note; callbacks are not told of it."""
        self._shown.note(text)

    def trial_started(self, trial: Trial) -> None:
        """Tell that a worker started the trial."""
        self._shown.trial_started(trial)
        self._call("on_trial_start", trial)

    def trial_reported(self, trial: int, report: Report) -> None:
        """Tell that the trial finished an epoch."""
        self._shown.trial_reported(trial, report)
        self._call("on_trial_report", trial, report)

    def trial_ended(self, trial: Trial) -> None:
        """Tell that the trial is over, and whether that changed the front."""
        self._shown.trial_ended(trial)
        self._call("on_trial_end", trial)
        if trial.state is not TrialState.COMPLETE:
            return
        front = self._front_of([*self._front, trial])
        if {each.number for each in front} != {each.number for each in self._front}:
            self._front = front
            self._call("on_front_change", list(front))

    def end(self, sweep: SweepRecord) -> None:
        """Tell that the run is over."""
        self._shown.end(sweep)
        self._call("on_sweep_end", sweep)

    def _front_of(self, trials: Sequence[Trial]) -> tuple[Trial, ...]:
        members = {
            member.trial for member in compute_front(trials, self._objectives, self._limits)
        }
        return tuple(trial for trial in trials if trial.number in members)

    def _call(self, event: str, *facts: object) -> None:
        for callback in self._callbacks:
            method = getattr(callback, event, None)
            if not callable(method):
                continue
            try:
                method(*facts)
            except FOREIGN_ERRORS as error:
                text = (
                    f"{event} of the callback {type(callback).__name__} raised "
                    f"{shown_error(error)}. The sweep goes on."
                )
                logger.warning("%s", text, exc_info=error)
                self._shown.note(text)


def _loaded(reference: str) -> object:
    try:
        found = load_reference(reference)
    except DoorError as error:
        raise UsageError(f"callbacks: {error}") from None
    if not isinstance(found, type):
        return checked(found, reference)
    try:
        with say_if_slow(f"callbacks: {reference}"):
            return checked(found(), reference)
    except UsageError:
        raise
    except FOREIGN_ERRORS as error:
        raise UsageError(
            f"callbacks: {reference} was called without arguments, and raised {shown_error(error)}"
        ) from error
