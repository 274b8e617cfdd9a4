"""Metrics of a run for Prometheus: one table of them, their values, and where they are read."""
