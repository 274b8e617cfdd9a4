"""Changes that options make to a sweep file: ``--set training.epochs=3``."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.spec.run_sections import with_source
from search_spaces import parse_yaml

Place = tuple[str | int, ...]

# Sections that may be given as a single word or number: the key whose value it is.
_SHORT_FOR: Mapping[str, str] = {
    "backbone": "name",
    "data": "name",
    "sampler": "kind",
    "scheduler": "kind",
    "tracking": "kind",
    "head": "rule",
    "budget": "trials",
    "plateau": "trials",
    "objectives": "direction",
    "measures": "attack",
    "front_measures": "attack",
}
_BRACKETS = {"[": 1, "{": 1, "(": 1, "]": -1, "}": -1, ")": -1}
_NEXT_SETTING = re.compile(r",\s*(?=[A-Za-z_][\w.-]*\s*=(?!=))")


def parse_settings(texts: Sequence[str]) -> list[tuple[Place, Any]]:
    """Parse settings; a text may hold several with commas between them: ``a.b=1,c.d=2``.

    Raises:
        UsageError: A text is not a setting.
        FileProblems: A value does not parse.

    >>> parse_settings(["training.epochs=3,seed=1"])
    [(('training', 'epochs'), 3), (('seed',), 1)]
    """
    return [_setting(part) for text in texts for part in _parts(text)]


def _parts(text: str) -> list[str]:
    """Split the settings in a text; a comma within brackets or quotes belongs to a value."""
    parts, begin = [], 0
    for match in _NEXT_SETTING.finditer(text):
        value = text[begin : match.start()]
        depth = sum(_BRACKETS.get(character, 0) for character in value)
        if depth == 0 and value.count('"') % 2 == 0 and value.count("'") % 2 == 0:
            parts.append(value)
            begin = match.end()
    return [*parts, text[begin:]]


def _setting(text: str) -> tuple[Place, Any]:
    place, equals, value = text.partition("=")
    if not equals or not place.strip():
        raise UsageError(
            f"--set {text!r} is not KEY=VALUE: write for example --set training.epochs=3."
        )
    document = parse_yaml(f"value: {value}", name="--set")
    return tuple(place.strip().split(".")), document.data["value"]


def parse_source(text: str) -> Any:
    """Parse the source of a warm start, as an option gives it.

    >>> parse_source("earlier.csv"), parse_source("{optuna: 'sqlite:///study.db'}")
    ({'csv': 'earlier.csv'}, {'optuna': 'sqlite:///study.db'})
    """
    return with_source(parse_yaml(f"value: {text}", name="--warm-start").data["value"])


def changed(data: Any, place: Place, value: Any, *, within: Place = ()) -> dict[str, Any]:
    """Return `data` with another value at a place; mappings on the path are copied.

    >>> changed({"budget": {"trials": 8}, "seed": 0}, ("budget", "seconds"), 60)
    {'budget': {'trials': 8, 'seconds': 60}, 'seed': 0}
    >>> changed({"budget": 8}, ("budget", "seconds"), 60)
    {'budget': {'trials': 8, 'seconds': 60}}
    """
    head, *rest = place
    below = _spelled_out(data, within)
    deeper = (*within, head)
    below[str(head)] = (
        changed(below.get(str(head)), tuple(rest), value, within=deeper) if rest else value
    )
    return below


def _spelled_out(data: Any, place: Place) -> dict[str, Any]:
    """Return a section as a mapping, also if it is given by one word."""
    if isinstance(data, Mapping):
        return dict(data)
    if data is None:
        return {}
    # An objective and a measure are nested in the section that defines their word.
    owner = place[-2] if len(place) == 2 and place[-2] != "budget" else place[-1]
    if owner == "warm_start":
        source = with_source(data)
        return source if isinstance(source, dict) else {}
    return {_SHORT_FOR.get(str(owner), "name"): data}
