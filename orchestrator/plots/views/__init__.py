"""Views of a sweep: what it says about parameters, trials, workers, time, attacks and layers."""
