"""The variants that ``paretune simulate`` compares: of a sweep file, or of a table alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.simulation.foreign import sweep_of
from orchestrator.simulation.lookup import holes
from orchestrator.simulation.table import Table
from orchestrator.spec.files import load_sweep
from orchestrator.spec.settings import changed, parse_settings
from orchestrator.spec.sweep_spec import SweepSpec
from search_spaces import FileProblems, read_yaml

AS_GIVEN = "as given"
SAMPLERS = ("random", "tpe", "nsga2")
"""Compared where nothing is said; a Gaussian process takes a second for each proposal."""

# What no sweep over a foreign table has a use for.
_TRAINED = ("backbone", "data")


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What options say of a table.

    Attributes:
        objectives: ``NAME=maximize`` or ``NAME=minimize``; none: the file's, or by their names.
        known: Values that are known before training; ``none`` alone for no value.
    """

    objectives: Sequence[str] = field(default=())
    known: Sequence[str] = field(default=())

    def as_mapping(self) -> dict[str, Any]:
        """Return them as keys of a short file."""
        given: dict[str, Any] = {}
        if self.objectives:
            given["objectives"] = dict(map(_direction, self.objectives))
        if self.known:
            given["known"] = [] if list(self.known) == ["none"] else list(self.known)
        return given


def is_sweep_file(path: Path | None) -> bool:
    """Return whether a file says how trials are trained, and not only how a table is searched.

    Raises:
        UsageError: It cannot be read.

    >>> is_sweep_file(None), is_sweep_file(Path("examples/sweeps/digits.yaml"))
    (False, True)
    """
    return path is not None and any(key in _short(path) for key in _TRAINED)


def variants_of(
    path: Path | None,
    table: Table,
    settings: Sequence[str],
    against: Sequence[str],
    options: TableOptions | None = None,
) -> tuple[dict[str, SweepSpec], list[str]]:
    """Build the variants by their names, and say what was assumed of the table.

    Args:
        path: A sweep file; or a short one, with keys that say how to search; or none.
        table: What is replayed.
        settings: Changes of all variants.
        against: Changes of one more variant each.
        options: Instead of a short file.

    Raises:
        UsageError: The file, a setting or an option is wrong.

    >>> from orchestrator.simulation.table import Recording
    >>> table = Table((Recording({"net": 1}, 0, {"loss": 0.5, "train_s": 1.0}),))
    >>> specs, notes = variants_of(None, table, ["budget=9"], [])
    >>> list(specs), notes
    (['random', 'tpe', 'nsga2'], ['objectives: loss (minimize)', 'known before training: nothing'])
    """
    options = options or TableOptions()
    if path is not None and is_sweep_file(path):
        if options.as_mapping():
            raise UsageError(f"{path} has objectives of its own: change them with --set.")
        specs = {AS_GIVEN: load_sweep(path, settings=settings)}
        for text in against:
            specs[text] = load_sweep(path, settings=[*settings, text])
        return specs, list(table.notes)
    given = _with({**({} if path is None else _short(path)), **options.as_mapping()}, settings)
    found: dict[str, SweepSpec] = {}
    for name, changes in _changes(given, against).items():
        found[name] = sweep_of(table, _with(given, changes))
    first = next(iter(found.values()))
    return found, [*table.notes, *_notes(first, table)]


def _changes(given: Mapping[str, Any], against: Sequence[str]) -> dict[str, tuple[str, ...]]:
    if against or "sampler" in given:
        return {AS_GIVEN: (), **{text: (text,) for text in against}}
    return {name: (f"sampler.kind={name}",) for name in SAMPLERS}


def _with(given: Mapping[str, Any], settings: Sequence[str]) -> Mapping[str, Any]:
    data = dict(given)
    for place, value in parse_settings(settings):
        data = changed(data, place, value)
    return data


def _notes(spec: SweepSpec, table: Table) -> list[str]:
    goals = ", ".join(f"{each.name} ({each.direction.value})" for each in spec.directed)
    known = ", ".join(getattr(spec, "known", ())) or "nothing"
    said = [f"objectives: {goals}", f"known before training: {known}"]
    lacking, size = holes(spec.search_space, table), spec.search_space.size
    if lacking:
        said.append(
            f"{lacking:,} of {size:,} configurations were not recorded: each stands for the "
            f"nearest that was"
        )
    return said


def _short(path: Path) -> dict[str, Any]:
    try:
        return dict(read_yaml(path).data)
    except FileProblems as error:
        raise UsageError(str(error)) from None


def _direction(text: str) -> tuple[str, str]:
    name, equals, direction = text.partition("=")
    if not equals or direction not in ("maximize", "minimize"):
        raise UsageError(
            f"--objective {text!r} is not NAME=maximize or NAME=minimize: write for example "
            f"--objective accuracy=maximize."
        )
    return name.strip(), direction
