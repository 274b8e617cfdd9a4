"""The log of a run: lines that say of which sweep, trial, attempt, node and worker they are."""
