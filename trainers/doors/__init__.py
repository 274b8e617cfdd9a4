"""Code of a user's own, named in a sweep file as ``module:name``; importable without torch."""

from trainers.doors.carried import read_code, write_code
from trainers.doors.foreign import FOREIGN_ERRORS, is_raised_here, say_if_slow, shown_error
from trainers.doors.measures import call_measure
from trainers.doors.parts import KINDS, call_part, is_part, load_part, part_name, shipped
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
    "FOREIGN_ERRORS",
    "KINDS",
    "DoorError",
    "call_measure",
    "call_part",
    "code_reference",
    "content_name",
    "file_digest",
    "is_part",
    "is_raised_here",
    "is_reference",
    "load_part",
    "load_reference",
    "located",
    "part_name",
    "read_code",
    "reference_digest",
    "resolved_reference",
    "say_if_slow",
    "shipped",
    "shown_error",
    "take_note",
    "write_code",
]
