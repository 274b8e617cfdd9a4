"""What a trained network is measured by.

Accuracy (`accuracy`), accuracy under attack (`robustness`) and counts (`counts`) are imported from
their modules, which load torch; a config needs none.
"""

from trainers.evaluators.config import AttackConfig

__all__ = ["AttackConfig"]
