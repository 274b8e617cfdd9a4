"""Checks of the store and of MLflow."""

import base64
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from orchestrator.addresses import sqlite_file, tracking_problem
from orchestrator.doctor.cluster import is_here, is_remote
from orchestrator.doctor.finding import Finding, fine, wrong
from orchestrator.doctor.machine import network_file_system
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.redaction import redacted

_MOUNTS = Path("/proc/mounts")
_TIMEOUT_S = 5.0
_TRACKING = "MLflow"
# Unlike /health, it needs the rights that a run needs.
_SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def examine_store(url: str, variable: str = "") -> list[Finding]:
    """Check that the store opens, has this version's schema, and is in an allowed place.

    Args:
        url: URL of the store.
        variable: The environment variable that names it, if one does.
    """
    from orchestrator.storage.opening import try_writing

    return _store_findings(url, variable, try_writing)


def _store_findings(url: str, variable: str, attempt: Callable[[str], None]) -> list[Finding]:
    first, *others = _opened(url, attempt)
    said = f", as {variable} says" if variable else ""
    return [replace(first, detail=first.detail + said), *others]


def _opened(url: str, attempt: Callable[[str], None]) -> list[Finding]:
    from orchestrator.storage.database import AWAY_FIX, Database
    from orchestrator.storage.opening import schema_version

    try:
        database = Database(url)
    except UsageError as error:
        fix = "Write the store as sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE."
        return [wrong("store", redacted(str(error)), fix)]
    except OrchestratorError as error:
        return [wrong("store", redacted(str(error)), "Install the driver it names.")]
    findings = [_store_place(database.path)] if database.path else []
    try:
        current, newest = schema_version(url)
    except OrchestratorError as error:
        fix = "Check that the file is a database that you may read." if database.path else AWAY_FIX
        detail = redacted(str(error)).removesuffix(AWAY_FIX).rstrip(". ")
        return [wrong("store", detail, fix), *findings]
    finding = _schema(database.url, current, newest)
    return [_written(finding, url, attempt) if finding.ok else finding, *findings]


def examine_store_use(url: str, variable: str = "") -> list[Finding]:
    """Check as `examine_store` does, with what a run of an existing store writes: no new table.

    Args:
        url: URL of the store.
        variable: The environment variable that names it, if one does.
    """
    from orchestrator.storage.opening import try_changing

    return _store_findings(url, variable, try_changing)


def _written(finding: Finding, url: str, attempt: Callable[[str], None]) -> Finding:
    """The finding of a store, once it is known that it can be written to."""
    try:
        attempt(url)
    except OrchestratorError as error:
        fix = (
            "A run needs a user that may make tables and write to them; of a file, its folder too."
        )
        return wrong("store", redacted(str(error)).rstrip("."), fix)
    return replace(finding, detail=f"{finding.detail}; a write was tried and taken back")


def examine_store_of_many(url: str, nodes: int) -> list[Finding]:
    """Refuse an SQLite store for a cluster of several nodes.

    Args:
        url: URL of the store.
        nodes: How many the cluster has.

    >>> examine_store_of_many("sqlite:////data/sweeps.db", 1)
    []
    >>> examine_store_of_many("sqlite:////data/sweeps.db", 3)[0].ok
    False
    """
    file = sqlite_file(url)
    if file is None or nodes < 2:
        return []
    detail = f"{file} is a file of this machine, and the cluster has {nodes} nodes"
    fix = (
        "With SQLite only this machine can go on with a sweep. Use PostgreSQL: --store or "
        "PARETUNE_STORE=postgresql+psycopg://USER@HOST/DATABASE"
    )
    return [wrong("store of a cluster", detail, fix)]


def _schema(url: str, current: str | None, newest: str) -> Finding:
    if current is None:
        return fine("store", f"{url} is empty; the first run makes its tables")
    if current == newest:
        return fine("store", f"{url} has schema {current}, the newest")
    fix = (
        "Upgrade paretune: pip install --upgrade paretune"
        if current > newest
        else "Copy the store, then let 'paretune run' bring it up to date."
    )
    detail = f"{url} has schema {current}, and this paretune knows {newest}"
    return wrong("store", detail, fix)


def _store_place(path: Path) -> Finding:
    mounts = _MOUNTS.read_text(errors="replace") if _MOUNTS.exists() else ""
    kind = network_file_system(path.resolve(), mounts)
    if kind is None:
        return fine("store's disk", f"{path.parent} lies on this machine")
    return wrong(
        "store's disk",
        f"{path} lies on a network file system ({kind}), where SQLite loses data",
        "Keep the store on a local disk, or use PostgreSQL: store: "
        "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE",
    )


def examine_tracking(uri: str, ray_address: str = "") -> Finding:
    """Check whether MLflow can be reached, also by the machines of a cluster.

    Args:
        uri: Tracking URI.
        ray_address: Value of ``RAY_ADDRESS``, empty where there is none.
    """
    shown = redacted(uri)
    if problem := tracking_problem(uri):
        detail, _, fix = problem.partition(". ")
        return wrong(_TRACKING, detail, fix)
    parts = urlsplit(uri, allow_fragments=False)
    local = parts.scheme.startswith("sqlite") or is_here(parts.hostname or "")
    if local and is_remote(ray_address):
        return wrong(
            _TRACKING,
            f"{shown} can be reached from this machine alone, and RAY_ADDRESS names another",
            "Start an MLflow server that the cluster can reach, and name it as tracking.uri.",
        )
    file = sqlite_file(uri)
    if file is not None:
        return _mlflow_file(file)
    if parts.scheme in ("http", "https"):
        return _mlflow_server(parts, shown)
    return fine(_TRACKING, f"{shown} was not asked: neither SQLite nor HTTP")


def _mlflow_file(path: Path) -> Finding:
    if not path.exists():
        return fine(_TRACKING, f"{path} is made by the first run")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            count = opened.execute("SELECT count(*) FROM experiments").fetchone()[0]
    except sqlite3.Error as error:
        fix = f"Move {path} away and repair MLflow from the store: paretune sync NAME"
        return wrong(_TRACKING, f"{path} cannot be read: {error}", fix)
    return fine(_TRACKING, f"{path} holds {count} experiments")


def _mlflow_server(parts: SplitResult, shown: str) -> Finding:
    try:
        status = _asked(parts)
    except ValueError:
        fix = "Write tracking.uri as http://HOST:5000, with a number as its port."
        return wrong(_TRACKING, f"{shown} cannot be read as the URL of a server", fix)
    except (OSError, HTTPException) as error:
        fix = "Start the server (mlflow server --host HOST), or correct tracking.uri."
        return wrong(_TRACKING, f"{shown} does not answer: {error}", fix)
    if status == HTTPStatus.OK:
        return fine(_TRACKING, f"{shown} answers, and lets experiments be read")
    if status == HTTPStatus.UNAUTHORIZED:
        fix = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to a user that it knows."
        return wrong(_TRACKING, f"{shown} refuses user or password (status 401)", fix)
    fix = (
        "Check the path and the password in tracking.uri; a server that refuses a host name "
        "wants it in --allowed-hosts."
    )
    return wrong(_TRACKING, f"{shown} answers with status {status}", fix)


def _asked(parts: SplitResult) -> int:
    """Return the HTTP status of a search for one experiment, with the rights of a run."""
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    secret = _credentials(parts)
    headers = {"Authorization": secret} if secret else {}
    with closing(kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)) as connection:
        connection.request("GET", f"{parts.path.rstrip('/')}{_SEARCH}", headers=headers)
        return connection.getresponse().status


def _credentials(parts: SplitResult) -> str:
    """What MLflow (3.17) would send: of the URL, else of the environment."""
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not user:
        user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user:
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    return f"Bearer {token}" if token else ""
