"""Which configuration is tried next, and when the search ends."""
