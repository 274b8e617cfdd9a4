"""The callbacks of a sweep file: references to code of a user's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from orchestrator.spec.section import found_reference, with_reference
from trainers.doors import resolved_reference


def with_resolved_callbacks(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a sweep file's content with its callbacks found in a folder.

    What is no reference stays, to be refused where it is validated.

    >>> with_resolved_callbacks({"callbacks": "my_callbacks:Notify"}, Path())
    {'callbacks': ['my_callbacks:Notify']}
    """
    given = _as_list(data.get("callbacks"))
    if not isinstance(given, list):
        return dict(data)
    return {**data, "callbacks": [found_reference(each, folder) for each in given]}


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) or callable(value) else value


def _is_code(reference: str) -> str:
    resolved_reference(reference, Path())
    return reference


CallbackReference = Annotated[str, with_reference("callbacks"), AfterValidator(_is_code)]
Callbacks = Annotated[list[CallbackReference], BeforeValidator(_as_list)]
