"""What ``pick`` does with a choice of one's own: store it, show it, take it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.options import Format, print_record, say
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.queries.sweeps import Sweep


@dataclass(frozen=True, slots=True)
class Own:
    """A choice of one's own, as the options of ``pick`` give it."""

    trial: int | None
    note: str | None
    candidate: bool
    withdraw: bool

    def check(self, others: Sequence[object]) -> None:
        """Refuse options that say nothing together.

        Raises:
            UsageError: They do.
        """
        alone = self.candidate or self.withdraw
        if self.trial is None and alone:
            raise UsageError("--candidate and --withdraw need --trial NUMBER: which one is meant?")
        if self.candidate and self.withdraw:
            raise UsageError("--candidate marks a trial and --withdraw removes its mark: use one.")
        if self.trial is not None and any(others):
            raise UsageError(
                "--trial names the trial that you chose yourself; it goes with --note, "
                "--candidate and --withdraw, and with no other way to choose."
            )


def decide(sweep: "Sweep", own: Own, how: Format) -> None:
    """Store or remove the choice of one trial, and print it."""
    from orchestrator.fronts.member import FrontMember

    trial = own.trial
    assert trial is not None  # noqa: S101 - the caller has looked
    if own.withdraw:
        _withdraw(sweep, trial)
        return
    member = FrontMember.of(sweep.trial(trial))
    kept = keep_choice(sweep, trial, own.note or "", candidate=own.candidate)
    on_front = any(each.trial == trial for each in sweep.front())
    reason = (
        f"Trial {trial} is {'a candidate' if own.candidate else 'your choice'}"
        f"{'' if on_front else ', and not on the front'}."
    )
    print_member(sweep, member.as_json() | {"reason": reason, "choice": kept}, reason, how)


def print_member(sweep: "Sweep", record: dict[str, object], reason: str, how: Format) -> None:
    """Print a trial that was chosen: the reason and its row, or its record."""
    from orchestrator.fronts.front import Front
    from orchestrator.fronts.member import FrontMember
    from orchestrator.reporting.tables import front_table

    if how is Format.TABLE:
        typer.echo(reason)
    number = record["trial"]
    assert isinstance(number, int)  # noqa: S101 - as `FrontMember.as_json` gives it
    member = FrontMember.of(sweep.trial(number))
    print_record(record, front_table(Front(sweep.objectives, (member,))), how)


def keep_choice(
    sweep: "Sweep", trial: int, note: str, *, candidate: bool = False
) -> dict[str, object]:
    """Store a choice, have it copied to MLflow, and return it as a record."""
    from orchestrator.pages.choosing import choose, copy_choices
    from orchestrator.reporting.records import choice_record
    from orchestrator.trials import ChoiceKind

    kind = ChoiceKind.CANDIDATE if candidate else ChoiceKind.PICKED
    made = choose(sweep, trial, kind, note)
    said = copy_choices(sweep)
    say(f"Stored: trial {trial} of {sweep.name} is {kind.value}. {said}".rstrip())
    return choice_record(made)


def _withdraw(sweep: "Sweep", trial: int) -> None:
    from orchestrator.pages.choosing import copy_choices

    if not sweep.store.withdraw(sweep.name, trial):
        raise OrchestratorError(
            f"Trial {trial} of {sweep.name} was neither picked nor a candidate; nothing changed."
        )
    copy_choices(sweep)
    say(f"Withdrawn: trial {trial} of {sweep.name} is neither picked nor a candidate.")
