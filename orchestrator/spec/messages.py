"""Problems of a spec in this project's words: pydantic's messages are about Python types."""

from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.spec.sweep_spec import SweepSpec
from search_spaces import did_you_mean, shown, unknown

Place = tuple[str | int, ...]

_NEEDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda _: "an integer",
    "int_from_float": lambda _: "an integer",
    "float_type": lambda _: "a number",
    "finite_number": lambda _: "a finite number",
    "string_type": lambda _: "text",
    "bool_type": lambda _: "true or false",
    "list_type": lambda _: "a list",
    "dict_type": lambda _: "a mapping (key: value)",
    "greater_than": lambda at: f"a number above {at['gt']:g}",
    "greater_than_equal": lambda at: f"a number of at least {at['ge']:g}",
    "less_than": lambda at: f"a number below {at['lt']:g}",
    "less_than_equal": lambda at: f"a number of at most {at['le']:g}",
    "too_short": lambda at: f"at least {at['min_length']} of them",
    "too_long": lambda at: f"at most {at['max_length']} of them",
    "string_too_short": lambda _: "a text that is not empty",
}
_SECTION = ("model_type", "model_attributes_type", "dataclass_type")


def sentences(
    error: ValidationError, of: type[BaseModel] = SweepSpec
) -> Iterator[tuple[Place, str]]:
    """Yield the place and a sentence for each value that a spec cannot have.

    A missing key is reported at the place where it belongs. If several kinds of value would be
    accepted, they are named together.

    Args:
        error: What pydantic found.
        of: The section that was to be made.

    >>> from orchestrator.spec.run_sections import BudgetSection
    >>> try:
    ...     BudgetSection(trials="many")
    ... except ValidationError as error:
    ...     print(list(sentences(error, BudgetSection)))
    [(('trials',), "'trials' is 'many', but needs an integer.")]
    """
    together: dict[Place, list[ErrorDetails]] = {}
    for detail in error.errors():
        place, _ = _placed(detail["loc"], of)
        together.setdefault(place, []).append(detail)
    for place, details in together.items():
        own = [each for each in details if each["type"] not in _GIVEN]
        for detail in details:
            if detail["type"] in _GIVEN:
                yield _GIVEN[detail["type"]](detail, place, of)
        if own:
            yield place, _wrong(place, own, of)


def _missing(_: ErrorDetails, place: Place, of: type[BaseModel]) -> tuple[Place, str]:
    return place[:-1], f"{place[-1]!r} is missing."


def _extra(_: ErrorDetails, place: Place, of: type[BaseModel]) -> tuple[Place, str]:
    section = _placed(place[:-1], of)[1]
    known = list(section.model_fields) if section else []
    return place, unknown("key", str(place[-1]), known)


def _said(detail: ErrorDetails, place: Place, of: type[BaseModel]) -> tuple[Place, str]:
    return place, str(detail.get("ctx", {}).get("error", "This cannot be used."))


# Kinds of errors whose messages need no rewording.
_GIVEN: Mapping[str, Callable[[ErrorDetails, Place, type[BaseModel]], tuple[Place, str]]] = {
    "missing": _missing,
    "extra_forbidden": _extra,
    "value_error": _said,
    "assertion_error": _said,
}


def _wrong(place: Place, details: list[ErrorDetails], of: type[BaseModel]) -> str:
    """Describe a value that is none of the accepted kinds."""
    name, given = (str(place[-1]) if place else "the file"), details[0].get("input")
    words = [word for each in details for word in _words(each)]
    needs = list(dict.fromkeys(need for each in details for need in _needed(each, place, of)))
    if words:
        needs.append(f"one of {', '.join(words)}" if len(words) > 1 else words[0])
    hint = did_you_mean(given, words) if isinstance(given, str) else ""
    wanted = f"but needs {' or '.join(needs)}." if needs else "which cannot be used here."
    return f"{name!r} is {shown(given)}, {wanted}{hint}"


def _words(detail: ErrorDetails) -> list[str]:
    if detail["type"] != "literal_error":
        return []
    listed = str(detail.get("ctx", {})["expected"]).replace(" or ", ",").split(",")
    return [word.strip(" '") for word in listed]


def _needed(detail: ErrorDetails, place: Place, of: type[BaseModel]) -> list[str]:
    if detail["type"] == "string_pattern_mismatch":
        return _like_examples(place, of)
    if detail["type"] in _SECTION:
        _, section = _placed(place, of)
        keys = f" with the keys {', '.join(section.model_fields)}" if section else ""
        return [f"a mapping{keys}"]
    needs = _NEEDS.get(detail["type"])
    return [needs(detail.get("ctx", {}))] if needs else []


def _like_examples(place: Place, of: type[BaseModel]) -> list[str]:
    """Name what a text of a certain form looks like, which its pattern would not tell a reader."""
    section = _placed(place[:-1], of)[1]
    field = section.model_fields.get(str(place[-1])) if section else None
    return [f"a text such as {field.examples[0]!r}"] if field and field.examples else []


def _placed(loc: Place, of: type[BaseModel]) -> tuple[Place, type[BaseModel] | None]:
    """Return the part of pydantic's location that exists in the file, and the section there.

    The rest of pydantic's location are names of the types that it tried.
    """
    at: Any = of
    place: list[str | int] = []
    for part in loc:
        if part == "[key]":
            break
        found = _below(at, part)
        if found is None:
            break
        place.append(part)
        at = found
    return tuple(place), _first(at, _as_section)


def _below(annotation: Any, part: str | int) -> Any:
    """Return the annotation of `part` of a value; None if it has no such part."""
    section = _first(annotation, _as_section)
    if section is not None:
        field = section.model_fields.get(str(part))
        # An unknown key is in the file all the same.
        return object if field is None else field.annotation
    kind = list if isinstance(part, int) else dict
    inner = _first(annotation, lambda each: each if get_origin(each) is kind else None)
    return get_args(inner)[-1] if inner is not None else None


def _first(annotation: Any, accept: Callable[[Any], Any]) -> Any:
    """Return the first accepted member of a union, or of an annotated type."""
    found = accept(annotation)
    if found is not None:
        return found
    origin = get_origin(annotation)
    inner: tuple[Any, ...] = ()
    if origin in (Union, UnionType):
        inner = get_args(annotation)
    elif hasattr(annotation, "__metadata__"):
        inner = get_args(annotation)[:1]
    return next(filter(None, (_first(each, accept) for each in inner)), None)


def _as_section(annotation: Any) -> type[BaseModel] | None:
    is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_section else None
