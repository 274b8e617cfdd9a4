"""The chain of stages that a trial is, and a cache that trials, sweeps and drivers share."""
