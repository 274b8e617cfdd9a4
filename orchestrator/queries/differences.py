"""Comparing two sweeps, or two trials: what was asked of them, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.contracts import Store
from orchestrator.errors import UsageError
from orchestrator.objectives import Objective
from orchestrator.pareto.hypervolume import HypervolumeScale
from orchestrator.pareto.losses import loss_matrix
from orchestrator.queries.sweeps import Sweep, open_sweep
from orchestrator.spec.stored import flat_spec
from orchestrator.trials import Trial


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs; a side that lacks it has None."""

    name: str
    first: object
    second: object


def compare_sweeps(first: str, second: str, store: Store | str | None = None) -> list[Difference]:
    """List what differs between two sweeps: their spec, then their trials and fronts.

    Hypervolumes are measured from one point, behind all trials of both, by the objectives that
    both have; more is better.

    Args:
        first: Name of a sweep.
        second: Name of another one.
        store: As in `orchestrator.open_sweep`.

    Raises:
        UnknownNameError: There is no such sweep.
    """
    sweeps = open_sweep(first, store), open_sweep(second, store)
    found = _differences(*(flat_spec(sweep.spec) for sweep in sweeps))
    return [each for each in found if each.name != "name"] + _differences(*_results(*sweeps))


def compare_trials(first: Trial, second: Trial) -> list[Difference]:
    """List the parameters and the values in which two trials differ.

    >>> from orchestrator.trials import TrialState
    >>> done = TrialState.COMPLETE
    >>> one, two = (Trial("s", n, {"bits": 4, "width": 8 + n}, 0, done) for n in (0, 1))
    >>> compare_trials(one, two)
    [Difference(name='width', first=8, second=9)]
    """
    before, after = (
        {"state": each.state.value, "seed": each.seed, **each.params, **each.values}
        for each in (first, second)
    )
    return _differences(before, after)


def parse_subject(text: str) -> tuple[str, int | None]:
    """Split ``NAME`` or ``NAME:TRIAL``.

    Raises:
        UsageError: What follows the colon is no number of a trial.

    >>> parse_subject("digits-fc:17"), parse_subject("digits-fc")
    (('digits-fc', 17), ('digits-fc', None))
    """
    name, colon, number = text.partition(":")
    if not colon:
        return name, None
    if not number.isdecimal():
        raise UsageError(
            f"{text!r} names no trial: write the sweep's name, a colon and the trial's number, as "
            f"in digits-fc:17."
        )
    return name, int(number)


def _results(*sweeps: Sweep) -> list[dict[str, object]]:
    """What came of each sweep, by the same names, and measured in the same way."""
    counts = [sweep.count_states() for sweep in sweeps]
    found: list[dict[str, object]] = [
        {"trials": sum(each.values()), **{f"trials.{state}": n for state, n in each.items()}}
        for each in counts
    ]
    goals = [goal for goal in sweeps[0].objectives if goal in sweeps[1].objectives]
    if not goals or not all(each.get("complete") for each in counts):
        return found
    fronts = [sweep.front([_asked(goal) for goal in goals]) for sweep in sweeps]
    measured = [member.values for front in fronts for member in front]
    measured += [trial.values for front in fronts for trial in front.others]
    losses = loss_matrix(measured, goals)
    corner = HypervolumeScale.behind(losses).point(goals) if len(losses) else None
    for row, front in zip(found, fronts, strict=True):
        row["front"] = len(front)
        for goal in goals:
            row[f"best.{goal.name}"] = _best(goal, [member.values[goal.name] for member in front])
        row["hypervolume"] = front.hypervolume(corner)
    return found


def _asked(goal: Objective) -> str:
    return f"{goal.name}:{goal.direction.value}"


def _best(goal: Objective, values: list[float]) -> float | None:
    return min(values, key=goal.loss, default=None)


def _differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[Difference]:
    names = dict.fromkeys([*before, *after])
    rows = [Difference(name, before.get(name), after.get(name)) for name in names]
    return [each for each in rows if each.first != each.second]
