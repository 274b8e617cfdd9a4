"""No tracking, on purpose."""

from pathlib import Path


class NoMirror:
    """Copies nothing. The marks stay in the store, so that a later `sync` can copy everything."""

    def drain(self, sweep: str, *, limit: int | None = None) -> int:
        """Copy nothing."""
        return 0

    def pending(self, sweep: str) -> int:
        """Return 0: nothing waits to be copied."""
        return 0

    def attach(self, sweep: str, file: Path) -> None:
        """Copy nothing."""
