"""Which configuration is next, and when there is none."""
