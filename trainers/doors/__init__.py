"""Code of a user's own, named in a sweep file as ``module:name``; importable without torch."""

from trainers.doors.carried import read_code, write_code
from trainers.doors.measures import call_measure
from trainers.doors.references import (
    DoorError,
    code_reference,
    content_name,
    file_digest,
    is_reference,
    load_reference,
    located,
    reference_digest,
    resolved_reference,
    take_note,
)

__all__ = [
    "DoorError",
    "call_measure",
    "code_reference",
    "content_name",
    "file_digest",
    "is_reference",
    "load_reference",
    "located",
    "read_code",
    "reference_digest",
    "resolved_reference",
    "take_note",
    "write_code",
]
