"""Arrays of losses: dominance, hypervolume, and dominance under constraints."""
