"""The stages of a trial, and a cache of their results that trials and sweeps share."""
