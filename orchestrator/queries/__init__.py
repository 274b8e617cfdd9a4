"""Questions to sweeps that are in the store, finished or running."""
