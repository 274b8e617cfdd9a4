"""Keeping the place tidy: deleting sweeps, and cleaning what no sweep needs."""
