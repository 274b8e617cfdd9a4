"""Whether the results of a sweep outlive the job that runs it.

Ray runs a job in a scratch folder that it may delete at the end of the job. A store, a tracking
database or a storage in that folder would be deleted with it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.addresses import anchored
from orchestrator.redaction import redacted
from orchestrator.references import has_reference
from orchestrator.spec.run_sections import with_tracking
from orchestrator.state_folder import STORE_VARIABLE, TRACKING_VARIABLE

_SCRATCH = "it would lie in the job's scratch folder, which Ray deletes"


def job_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses in `environment` that a job needs as well.

    >>> job_variables({"PARETUNE_STORE": "postgresql+psycopg://db/sweeps", "HOME": "/root"})
    {'PARETUNE_STORE': 'postgresql+psycopg://db/sweeps'}
    """
    names = (STORE_VARIABLE, TRACKING_VARIABLE)
    return {name: environment[name] for name in names if environment.get(name)}


def lasting_problems(document: Mapping[str, Any], variables: Mapping[str, str]) -> list[str]:
    """Find what a job would lose at its end, or show to everyone who sees the job.

    Args:
        document: The content of the sweep file, with paths as they are written there.
        variables: Addresses that the job gets as environment variables.

    Returns:
        A sentence for each.

    >>> kept = {"store": "postgresql+psycopg://db/sweeps", "storage": "s3://bucket/sweeps"}
    >>> lasting_problems({**kept, "tracking": "none"}, {})
    []
    >>> [text.partition(":")[0] for text in lasting_problems({**kept, "store": "default"}, {})]
    ['The store does not outlive a job', 'The tracking does not outlive a job']
    """
    return [*_store(document, variables), *_tracking(document, variables), *_storage(document)]


def _store(document: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[str]:
    named = document.get("store", "default")
    address = variables.get(STORE_VARIABLE) if named == "default" else str(named)
    if address is None or _is_relative(address):
        given = (
            "the sweep file names none"
            if address is None
            else f"{redacted(address)!r} is relative"
        )
        yield (
            f"The store does not outlive a job: {given}, and {_SCRATCH}. Set store in the sweep "
            f"file, or {STORE_VARIABLE}, to postgresql+psycopg://USER@HOST/DATABASE, or to "
            f"sqlite:////PATH on a disk that the head keeps."
        )
    elif named == "default":
        yield from _shown(STORE_VARIABLE, address, "store")


def _tracking(document: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[str]:
    section = with_tracking(document.get("tracking", {}))
    values = section if isinstance(section, Mapping) else {}
    if values.get("kind") == "none":
        return
    named = values.get("uri")
    address = named or variables.get(TRACKING_VARIABLE)
    if address is None or _is_relative(str(address)):
        given = "no server is named" if address is None else f"{redacted(address)!r} is relative"
        yield (
            f"The tracking does not outlive a job: {given}, and {_SCRATCH}. Set tracking in the "
            f"sweep file, or {TRACKING_VARIABLE}, to http://HOST:5000, or write 'tracking: none'."
        )
    elif not named:
        yield from _shown(TRACKING_VARIABLE, str(address), "tracking")


def _storage(document: Mapping[str, Any]) -> Iterator[str]:
    storage = document.get("storage")
    if not isinstance(storage, str) or not storage or _is_relative(storage):
        given = f"{redacted(storage)!r} is relative" if storage else "the sweep file names none"
        yield (
            f"The storage of networks does not outlive a job: {given}, and {_SCRATCH}. Set "
            f"storage in the sweep file to s3://BUCKET/FOLDER, or to an absolute folder that all "
            f"nodes mount."
        )


def _shown(variable: str, address: str, key: str) -> Iterator[str]:
    """Refuse a password in a variable: Ray shows the variables of a job on its dashboard."""
    if redacted(address) != address:
        yield (
            f"{variable} holds a password ({redacted(address)}), and Ray shows the variables of a "
            f"job to everyone who sees its dashboard. Set {key} in the sweep file with a "
            f"reference such as ${{NAME}} in place of the password, "
            f"and NAME on the head of the cluster."
        )


def _is_relative(address: str) -> bool:
    """Return whether an address means another place in another working directory.

    So does an SQLite database in memory, which no working directory keeps.
    """
    if has_reference(address):
        return False
    if "://" not in address:
        return not Path(address).expanduser().is_absolute()
    in_memory = address.startswith("sqlite") and address.endswith((":memory:", "://"))
    return in_memory or anchored(address, Path("/a")) != anchored(address, Path("/b"))
