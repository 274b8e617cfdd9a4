"""Pruning: which weights of a network are zero, from when on, and what keeps them so.

What loads torch is imported from its module: the scores (`criteria`) and the masks (`masks`). A
config and a schedule need none of it.
"""

from trainers.pruning.config import PruningConfig

__all__ = ["PruningConfig"]
