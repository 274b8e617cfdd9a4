"""Whatever a file says wrong is told in our words, not in pydantic's."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from orchestrator.errors import UsageError
from orchestrator.spec.files import load_sweep, stored_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.spec.conftest import GOOD, assert_plain, problems

_PLAIN: dict[str, Any] = yaml.safe_load(GOOD)


def keys_of(section: type[BaseModel], place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key of a sweep file, those of sections below too."""
    found = []
    for name, field in section.model_fields.items():
        found.append((*place, name))
        below = _first_section(field.annotation)
        if below is not None:
            found += keys_of(below, (*place, name))
    return found


def _first_section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) is dict:
        return None
    return next(filter(None, map(_first_section, get_args(annotation))), None)


WRONG = (
    None,
    True,
    -1,
    0,
    2.5,
    1e30,
    float("nan"),
    "",
    "odd",
    [],
    [1, "a"],
    {},
    {"odd": 1},
    [None],
)
KEYS = keys_of(SweepSpec)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS, ids=".".join)
def test_whatever_stands_under_a_key_is_told_in_our_words(
    write: Callable[..., Path], key: tuple[str, ...]
) -> None:
    path = write()
    for value in WRONG:
        tree = copy.deepcopy(_PLAIN)
        at: Any = tree
        for part in key[:-1]:
            at = at.setdefault(part, {})
        at[key[-1]] = value
        path.write_text(yaml.safe_dump(tree))
        try:
            load_sweep(path)
        except UsageError as error:
            assert_plain(str(error))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{kind: none}", "[none]", "but needs a mapping with the keys kind, uri."),
        ("{trials: 4}", "{trials: 0}", "'trials' is 0, but needs a number of at least 1."),
        ("{trials: 4}", "4\nexecution: {fuse: 0}", "or one of auto, off."),
        ("{trials: 4}", "4\nexecution: {siblings: 3}", "is 3, but needs true or false or auto."),
        ("{trials: 4}", "4\nhead: {widths: 3}", "'widths' is 3, but needs a list."),
        ("{trials: 4}", "4\nexecution: {siblings: aut}", "Did you mean 'auto'?"),
        ("  accuracy", "  acc", "Did you mean 'accuracy'?"),
        ("memory_bytes <=", "mem <=", "Did you mean 'memory_bytes'?"),
    ],
)  # fmt: skip
def test_what_is_needed_is_said(write: Callable[..., Path], old: str, new: str, said: str) -> None:
    found = "\n".join(problems(write(old, new)))
    assert said in found, found


def test_a_stored_spec_that_cannot_be_read_is_told_in_our_words(
    write: Callable[..., Path],
) -> None:
    stored = load_sweep(write()).model_dump(mode="json")
    assert stored_sweep("tiny", stored).name == "tiny"
    with pytest.raises(UsageError, match="stored spec of 'tiny'") as caught:
        stored_sweep("tiny", {**stored, "budget": {"trials": "x"}, "later": 1})
    assert_plain(str(caught.value))
    assert "budget.trials: 'trials' is 'x', but needs an integer." in str(caught.value)
    assert "later: Unknown key 'later'" in str(caught.value)
