"""``front`` and ``pick``."""

import sys
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.choices import Own, decide, keep_choice, print_member
from orchestrator.cli.front_options import (
    CandidateOption,
    DecidingOption,
    ExperimentOption,
    IntervalsOption,
    KneeOption,
    MinimizeOption,
    NamesArgument,
    NoteOption,
    ObjectivesOption,
    ParentRunOption,
    PlotOption,
    SelectOnOption,
    SetOption,
    Subset,
    TrackingUriOption,
    TrialOption,
    UnderOption,
    WithdrawOption,
)
from orchestrator.cli.options import (
    AlphaOption,
    Format,
    FormatOption,
    KeepOption,
    MarginOption,
    NameArgument,
    StoreOption,
    WhereOption,
    listed,
    print_records,
    say,
)
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.fronts.front import Front
    from orchestrator.fronts.member import FrontMember
    from orchestrator.fronts.uncertainty import Uncertainty
    from orchestrator.queries.sweeps import Sweep


def front(  # noqa: PLR0913 - the options of a command
    names: NamesArgument = None,
    *,
    objectives: ObjectivesOption = None,
    where: WhereOption = None,
    subset: SetOption = Subset.VAL,
    select_on: SelectOnOption = Subset.VAL,
    intervals: IntervalsOption = False,
    plot: PlotOption = None,
    tracking_uri: TrackingUriOption = None,
    experiment: ExperimentOption = None,
    parent_run: ParentRunOption = None,
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """Print the Pareto front: the trials that no other trial beats on every objective.

    Example: paretune front digits-fc --objectives accuracy,memory_bytes --where "bits <= 4"

    Example: paretune front digits-fc digits-full --plot front.html --format json

    Example: paretune front digits-fc --set test --intervals
    """
    from orchestrator.queries.sweeps import open_sweep, pareto_front

    goals, on_test = listed(objectives), Subset.TEST in (subset, select_on)
    _check_source(names or [], tracking_uri, on_test=on_test)
    if names and on_test:
        found = open_sweep(names[0], store).front(
            goals, where=where, subset=subset.value, select_on=select_on.value
        )
    else:
        found = pareto_front(
            names or None,
            goals,
            where=where,
            store=store,
            tracking_uri=tracking_uri,
            experiment=experiment,
            parent_run=parent_run,
        )
    _print_front(found, how, where, intervals=intervals)
    if plot is not None:
        say(f"Wrote {found.plot(plot)}")


def _check_source(names: list[str], tracking_uri: str | None, *, on_test: bool) -> None:
    """Refuse what no front could be of.

    Raises:
        UsageError: Neither a sweep nor an MLflow experiment is named, or test values are asked for
            of several.
    """
    if not names and not tracking_uri:
        raise UsageError(
            "A front needs the name of a sweep, as in 'paretune front digits-fc', or --experiment "
            "with --tracking-uri; 'paretune list' has the names."
        )
    if on_test and (tracking_uri or len(names) != 1):
        raise UsageError("Test values are those of one sweep in the store; name exactly one.")


def pick(  # noqa: PLR0913 - the options of a command
    name: NameArgument,
    *,
    knee: KneeOption = False,
    under: UnderOption = None,
    objective: DecidingOption = None,
    minimize: MinimizeOption = None,
    keep: KeepOption = None,
    margin: MarginOption = None,
    alpha: AlphaOption = None,
    where: WhereOption = None,
    trial: TrialOption = None,
    note: NoteOption = None,
    candidate: CandidateOption = False,
    withdraw: WithdrawOption = False,
    how: FormatOption = Format.TABLE,
    store: StoreOption = None,
) -> None:
    """Pick one trial, and say why; with --note, or by --trial, the choice is stored.

    Example: paretune pick digits-fc --knee

    Example: paretune pick digits-fc --under memory_bytes=200kB --where "bits <= 4"

    Example: paretune pick digits-fc --min memory_bytes --keep accuracy --margin "3 points"

    Example: paretune pick digits-fc --trial 12 --note "fits the door lock, and is robust enough"
    """
    from orchestrator.queries.sweeps import open_sweep

    ways = [knee, under is not None, minimize is not None]
    only_min = keep is not None or margin is not None or alpha is not None
    own = Own(trial, note, candidate, withdraw)
    own.check([*ways, only_min, objective, where])
    if trial is not None:
        decide(open_sweep(name, store), own, how)
        return
    if sum(ways) != 1 or (objective and not under) or (minimize is None and only_min):
        raise UsageError(
            "'paretune pick' needs exactly one way to choose: --knee, or --under VALUE=LIMIT "
            "(with --objective, if another than the first is to decide), or --min VALUE (with "
            "--keep A,B, --margin and --alpha, where another claim than that of the sweep file "
            "is meant), or --trial NUMBER."
        )
    sweep = open_sweep(name, store)
    found = sweep.front(where=where)
    if not len(found):
        which = f" with {where}" if where else " yet"
        raise OrchestratorError(f"{name} has no complete trial{which}, so there is none to pick.")
    if minimize is not None:
        picked = _smallest(sweep, found, minimize, (listed(keep), margin, alpha))
    else:
        picked = _under(found, under, objective) if under else _knee(found)
    member, reason = picked
    if not found.feasible:
        reason += " No trial meets the constraints of the sweep; this one is among the nearest."
    record = member.as_json() | {"reason": reason}
    if note is not None:
        record["choice"] = keep_choice(sweep, member.trial, note)
    print_member(sweep, record, reason, how)


def _smallest(
    sweep: "Sweep",
    found: "Front",
    by: str,
    claimed: tuple[list[str] | None, str | None, float | None],
) -> "tuple[FrontMember, str]":
    from orchestrator.analysis.claim import told_of
    from orchestrator.queries.claims import of_family
    from orchestrator.queries.looks import asked, count_look

    keep, margin, alpha = claimed
    if keep is None and sweep.claim is None:
        raise UsageError(
            f"--min needs --keep A,B, the accuracies that must not be worse: the sweep file of "
            f"{sweep.name} claims none. Write for example --keep accuracy."
        )
    claim, reference = asked(sweep, keep=keep, margin=margin, alpha=alpha), sweep.reference
    try:
        picked = of_family(found, claim).smallest(
            by=by,
            keep=claim.keep,
            reference=reference,
            margin=claim.margin,
            alpha=claim.alpha,
        )
    except UsageError:
        raise
    except OrchestratorError as error:
        looks = count_look(sweep.name, claim.look(by, len(found.trained)))
        raise OrchestratorError(f"{error} {told_of(claim, looks)}") from error
    looks = count_look(sweep.name, claim.look(by, len(found.trained)))
    return picked, f"{picked.reason} {told_of(claim, looks)}"


def _knee(found: "Front") -> "tuple[FrontMember, str]":
    from orchestrator.fronts.picking import told_at_chance

    member = found.knee()
    return member, (
        f"Trial {member.trial} is the knee of the front: the most balanced of its {len(found)} "
        f"members. From there a gain in one objective costs the others most."
        f"{told_at_chance(found)}"
    )


def _under(found: "Front", text: str, objective: str | None) -> "tuple[FrontMember, str]":
    from orchestrator.quantities import human, label

    value, equals, limit = (part.strip() for part in text.partition("="))
    if not (value and equals and limit):
        raise UsageError(
            f"--under takes VALUE=LIMIT, for example memory_bytes=200kB; got {text!r}."
        )
    member = found.under(value, limit, best=objective)
    others = [o.name for o in found.objectives if o.name != value]
    deciding = objective or (others or [value])[0]
    return member, (
        f"Trial {member.trial} has the best {label(deciding)}, "
        f"{human(deciding, member.values[deciding])}, of the members of the front within "
        f"the limit {value}={limit}: its {label(value)} is {human(value, member.values[value])}."
    )


def _print_front(found: "Front", how: Format, where: str | None, *, intervals: bool) -> None:
    from orchestrator.reporting.tables import front_heading, front_table
    from orchestrator.reporting.terminal import has_room_for_params

    knee = found.knee() if len(found) > 2 else None
    if how is Format.TABLE:
        typer.echo(front_heading(found, where, knee=knee))
    elif not len(found) or not found.feasible:
        say(front_heading(found, where))
    known: dict[tuple[str, int], Uncertainty] = {}
    if intervals:
        from orchestrator.fronts.uncertainty import uncertainties

        known, problem = uncertainties(found)
        if problem:
            say(f"How likely members are on the front cannot be said. {problem}")
    # Beside so many figures there is no room for the parameters; records have them.
    with_params = not intervals and has_room_for_params(sys.stdout, found)
    table = front_table(found, knee=knee, with_params=with_params, known=known)
    records = [
        member.as_json() | (each.as_json() if (each := known.get(_key(member))) else {})
        for member in found
    ]
    print_records(records, table, how)


def _key(member: "FrontMember") -> tuple[str, int]:
    return member.sweep, member.trial
