"""What every section of a sweep file has in common."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from orchestrator.errors import UsageError
from orchestrator.quantities import parse_quantity
from trainers.doors import code_reference, resolved_reference, shipped


class Section(BaseModel):
    """Base of every section: frozen, strict about types, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


_T = TypeVar("_T")


def as_problem(parse: Callable[[str], _T], text: str) -> _T:
    """Parse a text, and turn an error into a problem with its place.

    pydantic does so for a ValueError, which a UsageError is not.

    >>> as_problem(parse_quantity, "200kB")
    200000.0
    """
    try:
        return parse(text)
    except UsageError as error:
        raise ValueError(str(error)) from None


def with_name(value: object) -> object:
    """Convert a single word, or a function that is one's own, to a section with this name.

    >>> with_name("digits")
    {'name': 'digits'}
    """
    return {"name": value} if isinstance(value, str) or callable(value) else value


def with_kind(value: object) -> object:
    """Convert a single word, or a function that is one's own, to a section with this kind.

    >>> with_kind("tpe")
    {'kind': 'tpe'}
    >>> with_kind({"kind": "tpe"})
    {'kind': 'tpe'}
    """
    return {"kind": value} if isinstance(value, str) or callable(value) else value


def _quantity(value: object) -> object:
    return as_problem(parse_quantity, value) if isinstance(value, str) else value


Quantity = Annotated[float, BeforeValidator(_quantity, json_schema_input_type=float | str)]


def found_reference(value: Any, folder: Path) -> Any:
    """Find code that a file names in a folder; what is no reference stays, to be refused later.

    >>> found_reference("my_callbacks:Notify", Path()), found_reference(3, Path())
    ('my_callbacks:Notify', 3)
    """
    if not isinstance(value, str):
        return value
    try:
        return resolved_reference(value, folder)
    except ValueError:
        return value


def with_reference(kind: str, *, ours: Collection[str] = ()) -> BeforeValidator:
    """Replace code of a user's own by the reference to it, which workers find it by.

    Such code is a function or a class, or a name that an installed package gives to one.

    Args:
        kind: One of `trainers.doors.KINDS`.
        ours: Names that no package can take.

    Raises:
        ValueError: It is not at the top level of a module with a file.

    >>> with_reference("datasets").func("my_data:load")
    'my_data:load'
    """

    def replaced(value: object) -> object:
        if callable(value):
            return code_reference(value)
        is_name = isinstance(value, str) and value not in ours
        return shipped(kind).get(str(value), value) if is_name else value

    return BeforeValidator(replaced)
