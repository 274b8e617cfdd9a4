"""What the orchestrator needs of a tracker."""

from typing import Protocol


class Mirror(Protocol):
    """Copies what the store's outbox marks to where people look at it.

    The store is the truth: a mirror may be away, late, or missing, and is never asked anything.
    Used from one thread at a time.
    """

    def drain(self, sweep: str, *, limit: int | None = None) -> int:
        """Copy what is marked, at most `limit` marks; how many were.

        Raises:
            TrackingError: The tracker cannot be reached; what was not copied stays marked.
        """
        ...

    def pending(self, sweep: str) -> int:
        """How many marks wait."""
        ...
