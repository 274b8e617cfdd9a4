"""Which configurations of a space were proposed already, and a draw from those that were not."""

import json
import random

from orchestrator.trials import Params, Value
from search_spaces import SearchSpace

# Spaces up to this size are listed in memory, a few hundred bytes a configuration.
MAX_LISTED = 100_000

_MAX_DRAWS = 1_000


class Unseen:
    """The configurations of a space that were not seen yet.

    Two mappings that mean the same configuration (`SearchSpace.canonical`) are one.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
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
        """Name a configuration: equal for equal configurations alone, also 1, 1.0 and true."""
        return json.dumps(list(self._space.canonical(params).items()))

    def add(self, key: str) -> bool:
        """Mark a configuration as seen; whether it was not before."""
        if self._listed is not None:
            self._listed.pop(key, None)
        fresh = key not in self._seen
        self._seen.add(key)
        return fresh

    def draw(self, rng: random.Random) -> dict[str, Value] | None:
        """Draw a configuration that was not seen; it is not marked.

        Evenly from a space of at most `MAX_LISTED` configurations; from a larger one as
        `SearchSpace.sample` draws, and where that keeps meeting seen ones, the first of the grid.

        Returns:
            None if the space is exhausted, or, for a space without a grid, if 1,000 draws in a
            row were seen already.
        """
        if self.exhausted:
            return None
        if self._size is not None and self._size <= MAX_LISTED:
            return rng.choice(list(self._unseen_list().values()))
        for _ in range(_MAX_DRAWS):
            params = self._space.sample(rng)
            if self.key(params) not in self._seen:
                return params
        if self._size is None:
            return None
        return next(params for params in self._space.grid() if self.key(params) not in self._seen)

    def _unseen_list(self) -> dict[str, dict[str, Value]]:
        if self._listed is None:
            every = {self.key(params): params for params in self._space.grid()}
            self._listed = {key: item for key, item in every.items() if key not in self._seen}
        return self._listed
