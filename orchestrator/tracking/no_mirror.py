"""No tracking, on purpose."""


class NoMirror:
    """Copies nothing. The marks stay in the store, so that a later `sync` can copy everything."""

    def drain(self, sweep: str, *, limit: int | None = None) -> int:
        """Copy nothing."""
        return 0

    def pending(self, sweep: str) -> int:
        """Return 0: nothing waits to be copied."""
        return 0
