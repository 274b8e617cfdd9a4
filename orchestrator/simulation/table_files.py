"""Tables of recordings as files: CSV or JSON, compressed or not.

In CSV a recording has a line an epoch, and a last one without:

    params.bits,seed,epoch,values.seconds,values.milestone_accuracy,values.accuracy
    4,0,1,0.61,0.83,
    4,0,,,,0.87

Only what was recorded with a seed or in epochs needs the columns for it, so that what
``paretune trials NAME --format csv`` prints is a table too: of trials that report nothing.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.simulation.costs import with_costs
from orchestrator.simulation.table import Recording, Table
from orchestrator.trials import Report, TrialState, Value
from trainers.files.whole_file import whole_file

_PARAM, _VALUE = "params.", "values."
_SUFFIXES = (".csv", ".csv.gz", ".json", ".json.gz")
_UNREADABLE = (OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, csv.Error)


def read_table(path: str | Path) -> Table:
    """Read what `write_table` wrote, or a CSV of complete trials, by whatever names.

    Where no times were recorded each epoch takes a second, or each training without epochs;
    `Table.notes` says so.

    Raises:
        UsageError: The file is absent, or cannot be read as a table; the message explains why.

    >>> read_table("absent.csv")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.errors.UsageError: absent.csv cannot be read as a table of trials: ...
    """
    path = Path(path)
    try:
        text = _text(path)
        rows = json.loads(text) if ".json" in path.suffixes else list(_rows(text))
        rows, note = with_costs(rows)
        return Table(tuple(map(_recording, rows)), str(path), (note,) if note else ())
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except _UNREADABLE as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise UsageError(
            f"{path} cannot be read as a table of trials: {reason}. A table is a file "
            f"{', '.join(_SUFFIXES)}; docs/guides/simulate-a-search.md shows one."
        ) from None


def write_table(table: Table, path: str | Path) -> Path:
    """Write a table as ``.csv`` or ``.json``, compressed if the name ends in ``.gz``.

    Raises:
        UsageError: The name ends in another way.

    >>> from tempfile import TemporaryDirectory
    >>> from orchestrator.simulation.table import Recording
    >>> table = Table((Recording({"bits": 4}, 0, {"train_s": 60.0}),), "one trial")
    >>> with TemporaryDirectory() as folder:
    ...     read_table(write_table(table, Path(folder, "table.csv.gz"))).recordings[0].params
    {'bits': 4}
    """
    path = Path(path)
    if not path.name.endswith(_SUFFIXES):
        raise UsageError(f"A table is a file {', '.join(_SUFFIXES)}; got {path.name!r}.")
    content = (_json(table) if ".json" in path.suffixes else _csv(table)).encode()
    # Without the time, so that the same table is the same file.
    with whole_file(path) as file:
        file.write(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def _text(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def _json(table: Table) -> str:
    rows = [
        {
            "params": dict(each.params),
            "seed": each.seed,
            "values": dict(each.values),
            "reports": [{"epoch": r.epoch, "values": dict(r.values)} for r in each.reports],
        }
        for each in table.recordings
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False)


def _csv(table: Table) -> str:
    lines = [line for recording in table.recordings for line in _lines(recording)]
    columns = dict.fromkeys(name for line in lines for name in line)
    ordered = sorted(columns, key=lambda name: (not name.startswith(_PARAM), _is_value(name)))
    text = io.StringIO()
    writer = csv.DictWriter(text, ordered, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _lines(recording: Recording) -> Iterator[dict[str, object]]:
    own = {f"{_PARAM}{name}": _written(value) for name, value in recording.params.items()}
    for report in recording.reports:
        yield {**own, "seed": recording.seed, "epoch": report.epoch, **_cells(report.values)}
    yield {**own, "seed": recording.seed, "epoch": "", **_cells(recording.values)}


def _cells(values: Mapping[str, float]) -> dict[str, float]:
    return {f"{_VALUE}{name}": value for name, value in values.items()}


def _is_value(column: str) -> bool:
    return column.startswith(_VALUE)


def _rows(text: str) -> Iterator[dict[str, Any]]:
    """Join lines: those of a recording are consecutive, with its end last."""
    lines = csv.reader(io.StringIO(text))
    columns = _Columns(next(lines, []))
    reports: list[dict[str, Any]] = []
    for line in lines:
        if not line:
            continue
        values = columns.values(line)
        if epoch := columns.cell(line, "epoch"):
            reports.append({"epoch": epoch, "values": values})
        elif columns.cell(line, "state", TrialState.COMPLETE) == TrialState.COMPLETE:
            seed = columns.cell(line, "seed") or 0
            params = columns.params(line)
            yield {"params": params, "seed": seed, "values": values, "reports": reports}
            reports = []
    if reports:
        raise UsageError("The last recording lacks the line without an epoch: its values.")


class _Columns:
    """The columns of a CSV by their names; equal cells of a column are read once."""

    def __init__(self, header: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(header)}
        self._values = _without_prefix(self._places, _VALUE)
        self._params = _without_prefix(self._places, _PARAM)
        self._known: dict[str, Value] = {}

    def cell(self, line: Sequence[str], name: str, default: str = "") -> str:
        place = self._places.get(name)
        return default if place is None or place >= len(line) else line[place]

    def values(self, line: Sequence[str]) -> dict[str, str]:
        cells = ((name, place) for name, place in self._values if place < len(line))
        return {name: line[place] for name, place in cells if line[place]}

    def params(self, line: Sequence[str]) -> dict[str, Value]:
        found = {}
        for name, place in self._params:
            if place < len(line) and (cell := line[place]):
                if cell not in self._known:
                    self._known[cell] = _read(cell)
                found[name] = self._known[cell]
        return found


def _without_prefix(places: Mapping[str, int], prefix: str) -> list[tuple[str, int]]:
    return [(n.removeprefix(prefix), place) for n, place in places.items() if n.startswith(prefix)]


def _recording(row: Mapping[str, Any]) -> Recording:
    reports = tuple(Report(int(r["epoch"]), _numbers(r["values"])) for r in row.get("reports", ()))
    return Recording(
        dict(row["params"]), int(row.get("seed", 0)), _numbers(row["values"]), reports
    )


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _written(value: Value) -> str:
    """Write a parameter so that `_read` gives it back: a text that reads otherwise in quotes."""
    is_plain = isinstance(value, str) and value.isprintable() and value and _read(value) == value
    return str(value) if is_plain else json.dumps(value)


def _read(cell: str) -> Value:
    try:
        value: Value = json.loads(cell)
    except ValueError:
        return cell
    return value if isinstance(value, bool | int | float | str) else cell
