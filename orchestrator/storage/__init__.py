"""The store, which records every sweep, trial, report and value."""

from orchestrator.storage.lease_holders import is_gone, this_holder
from orchestrator.storage.opening import open_store, schema_version, upgrade
from orchestrator.storage.transfer import Changed, copy_sweeps

__all__ = [
    "Changed",
    "copy_sweeps",
    "is_gone",
    "open_store",
    "schema_version",
    "this_holder",
    "upgrade",
]
