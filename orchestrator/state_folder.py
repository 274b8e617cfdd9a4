"""Where a project keeps its state: ``.paretune/`` in the working directory, or ``PARETUNE_HOME``.

```
.paretune/
├── paretune.db               the store
├── mlflow.db                 the MLflow server's database
├── mlflow-artifacts/         what MLflow shows beside a run
├── cache/                    stages that trials of any sweep share; large sets of decoded images
├── fetched/                  copies of files from a sweep's `storage`
├── ray.log                   what Ray printed, if it printed anything
├── logs/NAME/                a log file of each run of a sweep
└── sweeps/NAME/trials/N/     checkpoint and packed artifact of a trial
```
"""

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator.addresses import sqlite_url
from orchestrator.errors import UsageError
from orchestrator.references import resolved

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
"""Sets the tracking URI if the sweep file does not, as in MLflow itself."""
STORE_VARIABLE = "PARETUNE_STORE"
"""Names the store where neither the command line nor the sweep file does."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_sweep_name(name: str) -> str:
    """Return `name` if it can name a sweep, a folder and an MLflow experiment.

    Raises:
        UsageError: It could leave the state folder, or holds characters that a path or a shell
            would interpret.

    >>> check_sweep_name("digits-fc")
    'digits-fc'
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise UsageError(
            f"{name!r} cannot name a sweep: use 1 to 100 letters, digits, '.', '_' or '-', "
            f"beginning with a letter or a digit, without '..'; for example 'digits-fc'."
        )
    return name


def make_private(folder: Path) -> None:
    """Make a folder, and those above it, so that only their owner can enter them.

    Folders that exist stay as they are.

    Raises:
        OSError: It cannot be made.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     make_private(Path(folder, "state"))
    ...     oct(Path(folder, "state").stat().st_mode & 0o777)
    '0o700'
    """
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)


def node_folder(what: str) -> Path:
    """Return the folder in which this node keeps what belongs to `what`; it need not exist.

    It is among the machine's temporary files.

    >>> node_folder("trial 3") == node_folder("trial 3") != node_folder("trial 4")
    True
    """
    digest = hashlib.sha256(what.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"paretune-{os.getuid()}" / digest


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The folder of one project.

    Attributes:
        root: Absolute path; created on the first write, not before.
    """

    root: Path

    @classmethod
    def find(cls) -> "StateFolder":
        """Find the folder of ``PARETUNE_HOME``, else ``.paretune`` in the working directory.

        An empty variable counts as unset.
        """
        return cls(Path(os.environ.get("PARETUNE_HOME") or ".paretune").expanduser().resolve())

    @property
    def store_url(self) -> str:
        """SQLAlchemy URL of the default store."""
        return sqlite_url(self.root / "paretune.db")

    def store_address(self, url: str | None = None) -> tuple[str, str]:
        """Return where sweeps are stored, and the variable that says so; empty if none does.

        Args:
            url: Of the command line, else of the sweep file; None and ``default`` name none.
        """
        if url not in (None, "default"):
            return str(url), ""
        named = os.environ.get(STORE_VARIABLE)
        return (named, STORE_VARIABLE) if named else (self.store_url, "")

    @property
    def tracking_uri(self) -> str:
        """MLflow tracking URI of the default tracker."""
        return sqlite_url(self.tracking_database)

    @property
    def tracking_database(self) -> Path:
        """File of the default tracker."""
        return self.root / "mlflow.db"

    def tracking_address(self, uri: str | None) -> tuple[str, str]:
        """Return where a sweep is mirrored to, and the variable that sets it; empty if none does.

        Args:
            uri: The ``tracking.uri`` of its file.

        Raises:
            UsageError: It refers to a variable that is not set.
        """
        named = os.environ.get(TRACKING_VARIABLE)
        if uri is None and named:
            return named, TRACKING_VARIABLE
        return resolved(uri) if uri else self.tracking_uri, ""

    @property
    def tracking_artifacts(self) -> Path:
        """Folder of the default tracker's artifacts."""
        return self.root / "mlflow-artifacts"

    @property
    def cache(self) -> Path:
        """Folder of the default stage cache."""
        return self.root / "cache"

    @property
    def images(self) -> Path:
        """Folder of decoded images of sets that are too large for the memory."""
        return self.cache / "images"

    @property
    def fetched(self) -> Path:
        """Folder of copies of files that a sweep keeps in its `storage`."""
        return self.root / "fetched"

    @property
    def ray_log(self) -> Path:
        """What Ray prints while it is started."""
        return self.root / "ray.log"

    def log_folder(self, sweep: str) -> Path:
        """Return the folder of the log files of a sweep's runs."""
        return self.root / "logs" / check_sweep_name(sweep)

    def sweep_folder(self, sweep: str) -> Path:
        """Return the folder of a sweep's trials."""
        return self.root / "sweeps" / check_sweep_name(sweep)

    def trial_folder(self, sweep: str, number: int) -> Path:
        """Return the folder of one trial's checkpoint and artifact."""
        return self.sweep_folder(sweep) / "trials" / f"{number:05d}"
