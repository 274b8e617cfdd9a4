"""The simulated back end: past trials replayed on a virtual clock."""
