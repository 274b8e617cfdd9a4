"""Addresses of databases and servers, always split and joined by urllib.

What SQLAlchemy reads in ``sqlite:///PATH`` is the path with its escapes undone, up to a ``?``;
``#`` is a character like any other. A relative path begins in the working directory, and ``~`` is
the home folder.
"""

import os
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from orchestrator.redaction import redacted
from orchestrator.references import has_reference

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
    """Build the URL of an SQLite file, whatever characters its path holds.

    >>> sqlite_url(Path("/data/50 % done.db"))
    'sqlite:////data/50 %25 done.db'
    """
    mark = "?" if query else ""
    return f"{scheme}:///{quote(str(path), safe=_PLAIN)}{mark}{query}"


def sqlite_file(url: str) -> Path | None:
    """Return the absolute path of an SQLite URL's file; None for a server and for memory.

    >>> sqlite_file("sqlite:////data/50 %25 done.db").as_posix()
    '/data/50 % done.db'
    >>> sqlite_file("postgresql://db/paretune") is None
    True
    """
    parts = _split(url)
    database = unquote(parts.path.removeprefix("/"))
    is_file = database not in ("", ":memory:") and not database.startswith("file:")
    if parts.scheme.partition("+")[0] != _SQLITE or parts.netloc or not is_file:
        return None
    return Path(database).expanduser().absolute()


def anchored(address: str, folder: Path) -> str:
    """Resolve a relative SQLite file in `address` against `folder`; return any other as it is.

    So too an address that refers to variables, which are known only where it is used.

    >>> anchored("sqlite:///sweeps.db", Path("/data"))
    'sqlite:////data/sweeps.db'
    """
    path, parts = sqlite_file(address), _split(address)
    if path is None or has_reference(address):
        return address
    given = Path(unquote(parts.path.removeprefix("/"))).expanduser()
    return sqlite_url((folder / given).resolve(), scheme=parts.scheme, query=parts.query)


def mlflow_address(uri: str) -> str:
    """Rewrite a tracking URI so that MLflow creates no folder besides the intended one.

    For ``sqlite:///PATH``, MLflow 3.17 creates a folder whose name has PATH's escapes; if the
    driver is named, it creates none.

    >>> mlflow_address("sqlite:////data/mlflow.db")
    'sqlite+pysqlite:////data/mlflow.db'
    >>> mlflow_address("http://mlflow:5000")
    'http://mlflow:5000'
    """
    path = sqlite_file(uri)
    if path is None:
        return uri
    return sqlite_url(path, scheme=f"{_SQLITE}+pysqlite", query=_split(uri).query)


def tracking_problem(uri: str) -> str:
    """Explain why MLflow is certain to refuse a tracking URI; empty if it may accept it.

    >>> tracking_problem("http://mlflow:5000")
    ''
    >>> tracking_problem("ftp://mlflow").partition(",")[0]
    "MLflow has no scheme 'ftp'"
    """
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
    """Return whether a tracking URI names a server, which keeps artifacts itself.

    >>> is_server("http://mlflow:5000"), is_server("sqlite:///mlflow.db")
    (True, False)
    """
    return uri == "databricks" or _split(uri).scheme in _SERVERS


def missing_driver(address: str, error: ImportError) -> str:
    """Describe which package of a database's driver is not installed, and how to install it.

    >>> error = ModuleNotFoundError("No module named 'MySQLdb'", name="MySQLdb")
    >>> missing_driver("mysql://db/sweeps", error).rpartition(". ")[2]
    'Install it: pip install mysqlclient'
    """
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
        # An unmatched bracket, which no address has.
        return SplitResult("", "", url, "", "")
