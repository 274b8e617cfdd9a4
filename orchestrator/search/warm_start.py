"""Warm start: what a sweep's sampler learns before its first trial.

It is read from its source once and kept in the store, so that a driver that starts again learns
the same, whatever became of the source.
"""

import csv
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from orchestrator.contracts import Progress, Sampler, Store, SweepWriter
from orchestrator.errors import UsageError
from orchestrator.redaction import redacted
from orchestrator.references import resolved
from orchestrator.search.prior_points import Row, fit, needed_values
from orchestrator.spec.run_sections import WarmStartSection
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import PriorPoint, Trial, TrialState

_PREFIXES = ("params.", "values.")
_LEARN_NOTHING = ("random", "grid")


@dataclass(frozen=True, slots=True)
class WarmStart:
    """What a sampler learns before the first trial.

    Attributes:
        points: In the order in which it learns them.
        note: Where they come from, in words for the user; empty if there are none.
        is_stored: Whether the store has them already.
    """

    points: Sequence[PriorPoint] = ()
    note: str = ""
    is_stored: bool = False

    def taught(self, sampler: Sampler, writer: SweepWriter, progress: Progress) -> Sampler:
        """Return `sampler` after it has learned; the points are stored before that."""
        if self.points:
            if not self.is_stored:
                writer.add_prior_points(self.points)
            sampler.learn(self.points)
            progress.note(self.note)
        return sampler


def warm_start(spec: SweepSpec, store: Store | None) -> WarmStart:
    """Load what the sampler of a sweep learns: stored by an earlier run, else read now.

    Raises:
        UsageError: The source cannot be read or holds nothing to learn from, or the sweep learned
            from another one.
        OrchestratorError: The source cannot be reached.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> warm_start(spec, None).points
    ()
    """
    source = spec.warm_start
    kept = _kept(spec.name, store)
    if kept:
        learned = kept[0].source
        if source is not None and described(source) != learned:
            raise UsageError(
                f"Sweep {spec.name!r} learned from {learned} when it began, which its sampler "
                f"cannot forget: drop {described(source)}, or start another sweep with --name."
            )
        note = f"learned from {len(kept)} points of {learned}, read when it began"
        return WarmStart(kept, note, is_stored=True)
    return WarmStart() if source is None else _read(spec, source, store)


def described(source: WarmStartSection) -> str:
    """Describe a source in words, without a password.

    >>> described(WarmStartSection(csv="earlier.csv")), described(WarmStartSection(sweep="digits"))
    ('earlier.csv', "sweep 'digits'")
    """
    if source.csv is not None:
        return source.csv
    if source.mlflow is not None:
        return f"MLflow experiment {source.experiment!r} at {redacted(source.mlflow)}"
    if source.optuna is not None:
        study = f"Optuna study {source.study!r}" if source.study else "the Optuna study"
        return f"{study} at {redacted(source.optuna)}"
    place = f" of {redacted(source.store)}" if source.store else ""
    return f"sweep {source.sweep!r}{place}"


def _kept(name: str, store: Store | None) -> Sequence[PriorPoint]:
    if store is None:
        return ()
    is_stored = any(record.name == name for record in store.sweeps())
    return store.prior_points(name) if is_stored else ()


def _read(spec: SweepSpec, source: WarmStartSection, store: Store | None) -> WarmStart:
    if source.sweep == spec.name and source.store is None:
        raise UsageError(
            f"warm_start names this sweep itself, {spec.name!r}, which learns from its own trials "
            f"anyway: name another one."
        )
    words = described(source)
    rows = _renamed(_rows(source, store), source.rename or {})
    needed = needed_values(spec.directed, spec.limits)
    found = fit(rows, spec.search_space, needed, words)
    sentence = found.sentence(words, needed)
    if not found.points:
        theirs = ", ".join(dict.fromkeys(name for row in rows for name in row)) or "nothing"
        ours = ", ".join((*spec.search_space.names, *needed))
        raise UsageError(
            f"Nothing can be learned from warm_start: {sentence}. It names {theirs}, and this "
            f"sweep needs {ours}; where they differ, write 'rename: {{THEIRS: OURS}}'."
        )
    kind = spec.sampler.kind
    deaf = f" (sampler {kind} makes no use of them)" if kind in _LEARN_NOTHING else ""
    return WarmStart(found.points, f"learned from {sentence}{deaf}")


def _rows(source: WarmStartSection, store: Store | None) -> list[Row]:
    """What the source holds; the module for its kind is imported only here."""
    if source.csv is not None:
        return csv_rows(Path(source.csv))
    if source.mlflow is not None:
        from orchestrator.tracking.mlflow_reader import trials_from_mlflow

        experiment, run = source.experiment or "", source.parent_run
        uri = resolved(source.mlflow)
        return _measured(trials_from_mlflow(uri, experiment, parent_run=run)[1])
    if source.optuna is not None:
        from orchestrator.sampling.optuna_studies import study_rows

        return study_rows(resolved(source.optuna), source.study)
    if source.store is None and store is None:
        raise UsageError(
            f"warm_start names sweep {source.sweep!r}, and there is no store here that could hold "
            f"it: go to the folder where it was run, or say which store it is in, as in "
            f"'warm_start: {{sweep: {source.sweep}, store: sqlite:///PATH}}'."
        )
    if source.store is None and store is not None:
        return _measured(store.trials(source.sweep or ""))
    from orchestrator.storage.opening import open_store

    url = None if source.store == "default" else source.store
    with closing(open_store(url, create=False)) as other:
        return _measured(other.trials(source.sweep or ""))


def _measured(trials: Iterable[Trial]) -> list[Row]:
    """Complete trials of a search; the reference, which has no parameters, is none of it."""
    return [
        {**trial.values, **trial.params}
        for trial in trials
        if trial.state is TrialState.COMPLETE and trial.params
    ]


def csv_rows(path: Path) -> list[Row]:
    """Read a table with a header, such as ``paretune trials NAME --format csv`` prints.

    A column is a parameter or a value, with or without ``params.`` and ``values.`` before its
    name. Of a table with a column ``state`` only rows that are ``complete`` are taken, and of a
    table of trials none without a parameter, such as the reference.

    Raises:
        UsageError: There is no such file, or it is no table.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     table = Path(folder, "earlier.csv")
    ...     with table.open("w") as file:
    ...         csv.writer(file).writerows([("bits", "accuracy", "state"), (4, 0.9, "complete")])
    ...     csv_rows(table)
    [{'bits': '4', 'accuracy': '0.9', 'state': 'complete'}]
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"Cannot read the table {path} of warm_start: {reason}.") from None
    rows: list[Row] = []
    for line in lines:
        if None in line:
            raise UsageError(f"A row of {path} has more cells than its header: {line[None]}.")
        cells = {name: cell.strip() for name, cell in line.items() if cell and cell.strip()}
        of_trials = [name for name in line if name.startswith(_PREFIXES[0])]
        has_params = not of_trials or any(name in cells for name in of_trials)
        if has_params and cells.get("state", "complete") == "complete":
            rows.append({_without_prefix(name): cell for name, cell in cells.items()})
    return rows


def _without_prefix(column: str) -> str:
    return next((column.removeprefix(p) for p in _PREFIXES if column.startswith(p)), column)


def _renamed(rows: Iterable[Row], names: dict[str, str]) -> list[Row]:
    """`rows` with what they call by the keys of `names` under the values of these too."""
    return [
        {**row, **{ours: row[theirs] for theirs, ours in names.items() if theirs in row}}
        for row in rows
    ]
