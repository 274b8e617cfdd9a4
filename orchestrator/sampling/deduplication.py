"""Which configurations of a space may still be proposed, and a draw from them."""

import json
import random
from collections.abc import Iterable, Iterator
from itertools import islice

from orchestrator.constraints import KnownConstraints
from orchestrator.trials import Params, Value
from search_spaces import SearchSpace

# Spaces up to this size are listed in memory, a few hundred bytes a configuration.
MAX_LISTED = 100_000

_MAX_DRAWS = 1_000
# Where nearly everything is refused, a large grid would take hours.
_MAX_LOOKED_AT = 100_000


class Deduplicator:
    """The configurations of a space that were not seen yet.

    Two mappings that mean the same configuration (`SearchSpace.canonical`) are one.

    Args:
        space: Where they are from.
        known_constraints: Which of them are never proposed. One that is met counts as seen.

    Attributes:
        refused: How many were met that are never proposed.
    """

    def __init__(
        self, space: SearchSpace, known_constraints: KnownConstraints | None = None
    ) -> None:
        self._space, self._known_constraints = space, known_constraints or KnownConstraints()
        self.screened_out = 0
        self._size = space.size
        self._seen: set[str] = set()
        self._listed: dict[str, dict[str, Value]] | None = None

    @property
    def seen(self) -> int:
        """How many distinct configurations were seen."""
        return len(self._seen)

    @property
    def exhausted(self) -> bool:
        """Whether every configuration was seen."""
        return self._size is not None and len(self._seen) >= self._size

    def key(self, params: Params) -> str:
        """Return a key that only equal configurations share; 1, 1.0 and true stay apart."""
        return self.canonical_key(self._space.canonical(params))

    @staticmethod
    def canonical_key(params: Params) -> str:
        """Return the key of a configuration that is in canonical form."""
        return json.dumps(list(params.items()))

    def add(self, key: str) -> bool:
        """Mark a configuration as seen; returns whether it is new."""
        if self._listed is not None:
            self._listed.pop(key, None)
        fresh = key not in self._seen
        self._seen.add(key)
        return fresh

    def is_new(self, key: str) -> bool:
        """Return whether a configuration was not seen."""
        return key not in self._seen

    def screens_out(self, key: str, params: Params) -> bool:
        """Return whether a configuration is never proposed; call it once for each."""
        if not self._known_constraints.broken(params):
            return False
        self.screened_out += 1
        self.add(key)
        return True

    def draw(self, rng: random.Random) -> dict[str, Value] | None:
        """Draw an unseen configuration that may be proposed; it is not marked as seen.

        Evenly from a space of at most `MAX_LISTED` configurations; from a larger one as
        `SearchSpace.sample` draws, and where that keeps meeting seen ones, the first of the grid.

        Returns:
            None if there is none; or, for a space that is too large to be listed, if none was
            among 1,000 draws in a row and the first 100,000 unseen ones of the grid.
        """
        if self.exhausted:
            return None
        if self._size is not None and self._size <= MAX_LISTED:
            return self._first(_shuffled(list(self._unseen_list().values()), rng))
        draws = (self._space.sample(rng) for _ in range(_MAX_DRAWS))
        drawn = self._first(draws)
        if drawn is not None or self._size is None:
            return drawn
        fresh = (params for params in self._space.grid() if self.key(params) not in self._seen)
        return self._first(islice(fresh, _MAX_LOOKED_AT))

    def _first(self, candidates: Iterable[dict[str, Value]]) -> dict[str, Value] | None:
        """The first one that may be proposed."""
        for params in candidates:
            key = self.key(params)
            if key not in self._seen and not self.screens_out(key, params):
                return params
        return None

    def _unseen_list(self) -> dict[str, dict[str, Value]]:
        if self._listed is None:
            every = {self.key(params): params for params in self._space.grid()}
            self._listed = {key: item for key, item in every.items() if key not in self._seen}
        return self._listed


def _shuffled(items: list[dict[str, Value]], rng: random.Random) -> Iterator[dict[str, Value]]:
    """Yield the items in random order, lazily: only the items that are taken cost time."""
    while items:
        place = rng.randrange(len(items))
        items[place], items[-1] = items[-1], items[place]
        yield items.pop()
