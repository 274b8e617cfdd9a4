"""Measurements of trained networks.

Accuracy (`accuracy`), accuracy under attack (`robustness`) and counts (`counts`) are imported from
their modules, which need torch; a config does not.
"""

from trainers.evaluators.config import AttackConfig

__all__ = ["AttackConfig"]
