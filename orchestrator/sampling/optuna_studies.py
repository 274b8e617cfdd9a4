"""A sweep as a study in an Optuna storage, for optuna-dashboard; and a study's trials as points.

A storage is a database URL, or the path of a journal file, as optuna-dashboard takes them.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from orchestrator.addresses import anchored, missing_driver, sqlite_file
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.objectives import Objective
from orchestrator.redaction import redacted
from orchestrator.sampling.optuna_logging import bold, quiet
from orchestrator.sampling.study_trials import PARAMS, TRIAL, StudyTrials
from orchestrator.trials import Report, SweepRecord, Trial

_SWEEP = "paretune:sweep"


@dataclass(slots=True)
class Exported:
    """What an export did.

    Attributes:
        added: Trials that the study lacked.
        ended: Trials that an earlier export saw unfinished, and that are final now.
        unchanged: Trials that it had.
        late: Of these, complete ones of which more was measured since; Optuna changes no finished
            trial.
        references: Trials that are no part of the search, left out.
    """

    added: int = 0
    ended: int = 0
    unchanged: int = 0
    late: int = 0
    references: int = 0


def export_study(
    sweep: SweepRecord,
    trials: Iterable[Trial],
    reports: Callable[[int], Sequence[Report]],
    storage: str,
    name: str | None = None,
) -> Exported:
    """Write a sweep to a study, or add what is new since the last export.

    The study has the sweep's directions, names and space; a trial's states, values, violations
    and times are its own. Unfinished trials are RUNNING, stopped ones PRUNED. The reference is no
    configuration of the space and would be on Optuna's front: it is left out.

    Args:
        sweep: As stored.
        trials: Its trials, by number.
        reports: Gives the reports of a trial.
        storage: URL of a database, or path of a journal file; created if it is missing.
        name: Of the study; default: the sweep's.

    Raises:
        UsageError: The storage belongs to another program, or its study of this name is not an
            export of this sweep.
        OrchestratorError: It cannot be opened or written.
    """
    content, done = StudyTrials(sweep.spec), Exported()
    _check_not_another_programs(storage)
    with quiet(), bold(), _sentences(storage):
        study = _study_of(sweep, content.objectives, _opened(storage), name or sweep.name, storage)
        known = {trial.user_attrs.get(TRIAL): trial for trial in study.get_trials(deepcopy=False)}
        for trial in trials:
            before = known.get(trial.number)
            if trial.is_reference:
                done.references += 1
            elif before is None:
                study.add_trial(content.frozen(trial, reports(trial.number)))
                done.added += 1
            elif trial.state.is_final and not before.state.is_finished():
                _end(study, before, content.frozen(trial, reports(trial.number)))
                done.ended += 1
            else:
                done.unchanged += 1
                done.late += not trial.values.keys() <= before.user_attrs.keys()
    return done


def study_rows(storage: str, name: str | None = None) -> list[Mapping[str, object]]:
    """Read a study's complete trials: parameters, values by metric names, user attributes.

    Values of a study that names no metrics are called ``value``, or ``values_0``, ``values_1``,
    as in Optuna's data frames.

    Args:
        storage: URL of a database, or path of a journal file.
        name: Name of the study; not needed if there is only one.

    Raises:
        UsageError: There is no such storage or study, or several and none is named.
        OrchestratorError: The storage cannot be read.

    >>> study_rows("absent.log")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.errors.UsageError: There is no Optuna storage at absent.log.
    """
    _check_there(storage)
    with quiet(), bold(), _sentences(storage):
        opened = _opened(storage)
        names = sorted(study.study_name for study in opened.get_all_studies())
        if name is not None and name not in names:
            raise UnknownNameError("study", name, names, where=redacted(storage))
        if name is None and len(names) != 1:
            listed = ", ".join(names) or "none"
            raise UsageError(
                f"{redacted(storage)} holds {len(names)} studies ({listed}): name the one that is "
                f"meant with 'study: NAME'."
            )
        study = optuna.load_study(study_name=name or names[0], storage=opened)
        metrics = study.metric_names or _unnamed(len(study.directions))
        complete = study.get_trials(deepcopy=False, states=[OptunaState.COMPLETE])
        return [_row(trial, metrics) for trial in complete]


def _row(trial: FrozenTrial, metrics: Sequence[str]) -> dict[str, object]:
    values = dict(zip(metrics, trial.values, strict=True))
    # An exported trial keeps its own types, which Optuna's choices cannot always distinguish.
    params = trial.system_attrs.get(PARAMS, trial.params)
    return {**trial.user_attrs, **values, **params}


def _unnamed(count: int) -> list[str]:
    return ["value"] if count == 1 else [f"values_{number}" for number in range(count)]


def _study_of(
    sweep: SweepRecord,
    objectives: Sequence[Objective],
    opened: BaseStorage,
    name: str,
    storage: str,
) -> optuna.Study:
    """Open the study of a sweep, or create it; refuse one that is not an export of the sweep."""
    directions = [objective.direction.value for objective in objectives]
    if name not in {study.study_name for study in opened.get_all_studies()}:
        study = optuna.create_study(storage=opened, study_name=name, directions=directions)
    else:
        study = optuna.load_study(storage=opened, study_name=name)
    # Two stores may have a sweep of one name.
    identity = f"{sweep.name}/{sweep.fingerprint[:16]}/{sweep.created.isoformat()}"
    if _SWEEP not in study.user_attrs and not study.get_trials(deepcopy=False):
        study.set_metric_names([objective.name for objective in objectives])
        study.set_user_attr("constraints", sweep.spec.get("constraints") or [])
        study.set_user_attr(_SWEEP, identity)
    if study.user_attrs.get(_SWEEP) != identity:
        raise UsageError(
            f"{redacted(storage)} has a study {name!r} that is not this sweep's: give yours "
            f"another name with --study, or name another storage."
        )
    return study


def _end(study: optuna.Study, before: FrozenTrial, now: FrozenTrial) -> None:
    """End a trial that was RUNNING; its state is set last, because that closes it."""
    storage, key = study._storage, before._trial_id  # noqa: SLF001 - Optuna has no public way
    for attr, value in now.user_attrs.items():
        storage.set_trial_user_attr(key, attr, value)
    for attr, value in now.system_attrs.items():
        storage.set_trial_system_attr(key, attr, value)
    for step, value in now.intermediate_values.items():
        storage.set_trial_intermediate_value(key, step, value)
    storage.set_trial_state_values(key, now.state, now.values)


def _opened(storage: str) -> BaseStorage:
    if "://" in storage:
        return optuna.storages.get_storage(RDBStorage(anchored(storage, Path.cwd())))
    return JournalStorage(JournalFileBackend(str(Path(storage).expanduser())))


def _check_there(storage: str) -> None:
    """Refuse a missing file: Optuna would create one, and find it empty."""
    path = _file_of(storage)
    if path is not None and not path.is_file():
        raise UsageError(f"There is no Optuna storage at {path}.")


def _check_not_another_programs(storage: str) -> None:
    """Refuse a SQLite file with tables that are not Optuna's: some share our names."""
    path = _file_of(storage)
    if path is None or not path.is_file() or "://" not in storage:
        return
    with closing(sqlite3.connect(path)) as connection, _sentences(storage):
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        tables = {name for (name,) in connection.execute(query)}
    if tables and "studies" not in tables:
        raise UsageError(
            f"{path} is a database of another program (tables {', '.join(sorted(tables)[:3])} "
            f"...): give Optuna a file of its own, such as sqlite:///study.db."
        )


def _file_of(storage: str) -> Path | None:
    """Return the file of a storage; None if it is on a server."""
    return sqlite_file(storage) if "://" in storage else Path(storage).expanduser()


@contextmanager
def _sentences(storage: str) -> Iterator[None]:
    """Turn what Optuna, SQLAlchemy and a driver raise into one sentence."""
    try:
        yield
    except OrchestratorError:
        raise
    except ImportError as error:
        raise OrchestratorError(f"The Optuna storage {missing_driver(storage, error)}") from None
    except Exception as error:
        # They have no common base, and SQLAlchemy's may not be imported here.
        reason = str(error).strip().partition("\n")[0]
        raise OrchestratorError(
            f"The Optuna storage {redacted(storage)} cannot be used: {redacted(reason)}. Write "
            f"sqlite:///PATH, another database URL with its driver, or the path of a journal file."
        ) from error
