"""One trial on its page: what it was, how its training went, its files, and how to load it."""

import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator.places import file_trouble
from orchestrator.quantities import human, label, unit
from orchestrator.queries.sweeps import Sweep
from orchestrator.reporting.records import trial_details
from orchestrator.trials import Artifact, Trial

Record = dict[str, object]


def trial_page_record(sweep: Sweep, number: int) -> Record:
    """Describe a trial: its record with attempts and reports, its files, and ways to load it.

    Raises:
        UnknownNameError: There is no such trial.
    """
    trial = sweep.trial(number)
    attempts = sweep.store.attempts(sweep.name, number)
    reports = sweep.store.reports(sweep.name, number)
    names = {*trial.values, *(name for report in reports for name in report.values)}
    return trial_details(trial, attempts, reports) | {
        "units": words_and_units(names),
        "is_reference": trial.is_reference,
        "files": _files(trial.artifact) if trial.artifact else [],
        "trouble": _trouble(trial.artifact) if trial.artifact else "",
        "how": ways_to_load(sweep.name, trial) if trial.artifact else {},
    }


def words_and_units(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return, by name of a measured value, what it is called and its unit.

    >>> words_and_units(["memory_bytes"])
    {'memory_bytes': ('memory', 'bytes')}
    """
    return {name: (label(name), unit(name).value) for name in sorted(names)}


def ways_to_load(name: str, trial: Trial) -> Mapping[str, str]:
    """Write how the packed network of a trial is exported and loaded, ready to be copied.

    >>> from orchestrator.trials import TrialState
    >>> ways = ways_to_load("digits", Trial("digits", 3, {}, 0, TrialState.COMPLETE))
    >>> ways["shell"]
    'paretune export digits 3 --to network'
    """
    return {
        "shell": f"paretune export {shlex.quote(name)} {trial.number} --to network",
        "python": (
            "from orchestrator import open_sweep\n"
            "from orchestrator.fronts.member import FrontMember\n\n"
            f"trial = open_sweep({name!r}).trial({trial.number})\n"
            "network = FrontMember.of(trial).load_model()"
        ),
        "exported": (
            "from pathlib import Path\n"
            "from trainers.artifact import load_artifact\n\n"
            'network = load_artifact(Path("network/model.safetensors"))'
        ),
    }


def _files(artifact: Artifact) -> list[Record]:
    """The files beside a packed network; of one in a storage only the network is named."""
    path = Path(artifact.path)
    found = {path.name: artifact.bytes}
    if "://" not in artifact.path:
        # A folder that is gone, or that another command is removing, has no other files to name.
        with suppress(OSError):
            beside = [each for each in path.parent.iterdir() if each.is_file()]
            found |= {each.name: each.stat().st_size for each in beside}
    return [
        {"name": name, "bytes": size, "size": human("file_bytes", size)}
        for name, size in sorted(found.items())
    ]


def _trouble(artifact: Artifact) -> str:
    """Why the network cannot be had; one in a storage is only looked for when it is fetched."""
    if "://" in artifact.path:
        return ""
    trouble = file_trouble(Path(artifact.path), artifact.sha256)
    return f"Its packed network {trouble}." if trouble else ""
