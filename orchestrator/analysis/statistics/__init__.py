"""Statistics that decide whether a difference is more than noise: pure functions of arrays.

"Not significant" is not "equal": `equivalence` tests with a stated margin that a network is not
worse, `paired` that two differ. Nothing here reads a store or knows what a trial is.
"""
