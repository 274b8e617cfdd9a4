"""Measurements of an analysis, kept in the stage cache so that an interrupted one goes on."""

from collections.abc import Callable, Mapping
from typing import Any

from trainers.stages.cache import StageCache
from trainers.stages.keys import measurement_entry


class Measurements:
    """Looks measurements up before they are made, and keeps them when they are.

    Args:
        kind: Name of the analysis: ``capacity``.
        cache: Where they are kept; None keeps nothing.
        data: Digest of the images.
        facts: What all measurements depend on, as JSON values.

    >>> kept = Measurements("sizes", None, data="", facts={})
    >>> kept.value({"width": 8}, lambda: 64)
    64
    """

    def __init__(
        self, kind: str, cache: StageCache | None, *, data: str, facts: Mapping[str, Any]
    ) -> None:
        self._kind, self._cache = kind, cache
        self._data, self._facts = data, dict(facts)

    def value(self, facts: Mapping[str, Any], make: Callable[[], Any]) -> Any:
        """Return a measurement, made if it is not kept.

        Args:
            facts: What it depends on beside the facts of all; JSON values.
            make: Makes it; a JSON value.
        """
        if self._cache is None:
            return make()
        name = measurement_entry(self._kind, {**self._facts, **facts}, data=self._data)
        found = self._cache.get(name)
        if found is not None:
            return found[1]["value"]
        value = make()
        self._cache.put(name, {}, {"value": value})
        return value
