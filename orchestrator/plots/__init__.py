"""Fronts, and how they grew, as figures."""
