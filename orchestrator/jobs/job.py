"""A sweep as a job: its name, its command, and the files that it needs."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.jobs.bundle import sent_files
from orchestrator.jobs.lasting import job_variables, lasting_problems
from orchestrator.spec.settings import changed, parse_settings
from orchestrator.spec.sweep_spec import SweepSpec
from search_spaces import read_yaml

_ATTEMPT = ".attempt-"


@dataclass(frozen=True, slots=True)
class Job:
    """What is sent to a cluster.

    Attributes:
        sweep: Name of the sweep.
        entrypoint: The command that the head runs in the folder of the sent files.
        variables: Environment variables of the job; none holds a password.
        folder: The folder of the sweep file.
        files: The files that are sent, relative to it.
    """

    sweep: str
    entrypoint: str
    variables: dict[str, str]
    folder: Path
    files: list[Path]

    def as_json(self) -> dict[str, Any]:
        """Return all of it in types that JSON has.

        >>> Job("a", "paretune run a.yaml", {}, Path("/b"), [Path("a.yaml")]).as_json()["files"]
        ['a.yaml']
        """
        files = [str(path) for path in self.files]
        return {**asdict(self), "folder": str(self.folder), "files": files}


def job_of(
    file: Path,
    spec: SweepSpec,
    *,
    settings: Sequence[str] = (),
    name: str | None = None,
    environment: Mapping[str, str],
) -> Job:
    """Build the job that runs a sweep file.

    Args:
        file: The sweep file.
        spec: What `load_sweep` made of it, with the same settings and name.
        settings: Changes to the file.
        name: Replaces the sweep's name.
        environment: Where the addresses of store and tracking are looked up.

    Raises:
        UsageError: The job would lose its results, or a file cannot be sent.

    >>> text = "{name: a, data: digits, space: smoke, objectives: {accuracy: maximize}, "
    >>> text += "backbone: {name: digitnet, weights: bundled}, storage: /mnt/sweeps, "
    >>> text += "store: postgresql+psycopg://db/sweeps, tracking: none}"
    >>> from tempfile import TemporaryDirectory
    >>> from orchestrator.spec.files import load_sweep
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.yaml")
    ...     _ = file.write_text(text)
    ...     spec = load_sweep(file, settings=["seed=7"])
    ...     job_of(file, spec, settings=["seed=7"], environment={}).entrypoint
    'paretune run "$PWD"/a.yaml --set seed=7'
    """
    document: Mapping[str, Any] = read_yaml(file).data
    for place, value in parse_settings(settings):
        document = changed(document, place, value)
    variables = job_variables(environment)
    problems = lasting_problems(document, variables)
    if problems:
        raise UsageError("\n".join(problems))
    options = [*(("--name", name) if name else ())]
    for setting in settings:
        options += ["--set", setting]
    words = [f'paretune run "$PWD"/{shlex.quote(file.name)}', *map(shlex.quote, options)]
    files = sent_files(file, document, spec)
    return Job(spec.name, " ".join(words), variables, file.parent.resolve(), files)


def submission_id(sweep: str, attempt: int) -> str:
    """Name an attempt at running a sweep as a job.

    >>> submission_id("digits-fc", 2)
    'digits-fc.attempt-2'
    """
    return f"{sweep}{_ATTEMPT}{attempt}"


def next_attempt(sweep: str, submissions: Iterable[str]) -> int:
    """Return the number of the next attempt, counting from 1.

    >>> next_attempt("a", ["a.attempt-1", "a.attempt-9", "ab.attempt-30", "other"])
    10
    """
    pattern = re.compile(re.escape(sweep + _ATTEMPT) + r"(\d+)")
    matches = (pattern.fullmatch(each) for each in submissions)
    return 1 + max((int(match[1]) for match in matches if match), default=0)
