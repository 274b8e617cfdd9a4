"""How much a stage cache is used."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Counts of the use of a stage cache.

    Attributes:
        hits: Entries that were found.
        misses: Entries that were looked for and were not there, or were damaged.
        read_bytes: Bytes of the tensors that were found.
        written_bytes: Bytes of the entries that were stored.

    >>> CacheUse(hits=3, read_bytes=80) - CacheUse(hits=1)
    CacheUse(hits=2, misses=0, read_bytes=80, written_bytes=0)
    """

    hits: int = 0
    misses: int = 0
    read_bytes: int = 0
    written_bytes: int = 0

    def __sub__(self, earlier: "CacheUse") -> "CacheUse":
        return CacheUse(
            self.hits - earlier.hits,
            self.misses - earlier.misses,
            self.read_bytes - earlier.read_bytes,
            self.written_bytes - earlier.written_bytes,
        )

    def __bool__(self) -> bool:
        return self != CacheUse()
