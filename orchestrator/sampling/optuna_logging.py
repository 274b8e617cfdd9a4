"""Optuna without its notes on each study and trial."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's log messages from the terminal within this block.

    >>> with quiet():
    ...     optuna.logging.get_verbosity() == optuna.logging.ERROR
    True
    """
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def bold() -> Iterator[None]:
    """Suppress Optuna's warnings about experimental features, such as names of metrics.

    >>> with bold():
    ...     warnings.warn("names of metrics", optuna.exceptions.ExperimentalWarning)
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
