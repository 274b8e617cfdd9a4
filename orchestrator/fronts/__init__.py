"""A Pareto front as a value: computed from trials, read from a store, filtered."""
