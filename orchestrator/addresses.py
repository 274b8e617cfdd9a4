"""Addresses of databases and servers: taken apart and put together by urllib, never by hand.

What SQLAlchemy reads in ``sqlite:///PATH`` is the path with its escapes undone, up to a ``?``;
``#`` is a character like any other. A relative path begins in the working directory, and ``~`` is
the home folder.
"""

import os
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from orchestrator.redaction import redacted

_SQLITE = "sqlite"
# What SQLAlchemy leaves as it is when it writes a URL.
_PLAIN = " +/"
_DATABASES = ("postgresql", "mysql", _SQLITE, "mssql")
_SERVERS = ("http", "https", "databricks")
_FILES = ("", "file")
_FIX = (
    "Name a server (http://HOST:5000) or a database (sqlite:///PATH), or leave tracking.uri away "
    "for a database in the state folder."
)
# Package by the module that SQLAlchemy misses, where pip knows it by another name.
_PACKAGES = {
    "psycopg": "'paretune[postgres]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}


def sqlite_url(path: Path, *, scheme: str = _SQLITE, query: str = "") -> str:
    """The URL of a SQLite file, whatever characters its path holds."""
    mark = "?" if query else ""
    return f"{scheme}:///{quote(str(path), safe=_PLAIN)}{mark}{query}"


def sqlite_file(url: str) -> Path | None:
    """The absolute path of a SQLite URL's file; None for a server, and for memory."""
    parts = _split(url)
    database = unquote(parts.path.removeprefix("/"))
    is_file = database not in ("", ":memory:") and not database.startswith("file:")
    if parts.scheme.partition("+")[0] != _SQLITE or parts.netloc or not is_file:
        return None
    return Path(database).expanduser().absolute()


def anchored(address: str, folder: Path) -> str:
    """`address` with a relative SQLite file in it looked for in `folder`; any other as it is."""
    path, parts = sqlite_file(address), _split(address)
    if path is None:
        return address
    given = Path(unquote(parts.path.removeprefix("/"))).expanduser()
    return sqlite_url((folder / given).resolve(), scheme=parts.scheme, query=parts.query)


def mlflow_address(uri: str) -> str:
    """A tracking URI in the form in which MLflow makes no folder beside the one that is meant.

    Of ``sqlite:///PATH`` it makes the folder with the escapes in its name (3.17); where the driver
    is named it makes none.
    """
    path = sqlite_file(uri)
    if path is None:
        return uri
    return sqlite_url(path, scheme=f"{_SQLITE}+pysqlite", query=_split(uri).query)


def tracking_problem(uri: str) -> str:
    """Why MLflow is certain to refuse a tracking URI; empty if it may take it."""
    scheme, shown = _split(uri).scheme, redacted(uri)
    if is_server(uri):
        return ""
    if scheme in _FILES:
        # MLflow's own way to keep such a folder in use.
        if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1"):
            return ""
        return f"MLflow keeps no folder of files any more, which tracking.uri {shown!r} is. {_FIX}"
    base = scheme.partition("+")[0]
    if base in (*_DATABASES, *entry_points(group="mlflow.tracking_store").names):
        return ""
    return f"MLflow has no scheme {scheme!r}, with which tracking.uri {shown!r} begins. {_FIX}"


def is_server(uri: str) -> bool:
    """Whether a tracking URI names a server, which keeps artifacts itself."""
    return uri == "databricks" or _split(uri).scheme in _SERVERS


def missing_driver(address: str, error: ImportError) -> str:
    """That the package of a database's driver is not installed, and how it is."""
    # Optuna raises one of its own, without the name.
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    name = (cause.name or "").partition(".")[0]
    # psycopg without the library it needs names no package.
    what = (
        f"the package {name!r}, which is not installed" if name else f"what is missing ({cause})"
    )
    package = _PACKAGES.get(name or "psycopg", name)
    return f"{redacted(address)} needs {what}. Install it: pip install {package}"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url, allow_fragments=False)
    except ValueError:
        # Half a bracket, which no address has.
        return SplitResult("", "", url, "", "")
