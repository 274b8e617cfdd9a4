"""Code of a user's own, named in a sweep file as ``module:name``; importable without torch."""

from trainers.doors.carried import read_code, write_code
from trainers.doors.measures import call_measure
from trainers.doors.references import (
    DoorError,
    content_name,
    is_reference,
    load_reference,
    located,
    reference_digest,
    reference_of,
    resolved_reference,
    take_note,
)

__all__ = [
    "DoorError",
    "call_measure",
    "content_name",
    "is_reference",
    "load_reference",
    "located",
    "read_code",
    "reference_digest",
    "reference_of",
    "resolved_reference",
    "take_note",
    "write_code",
]
