"""What a trial is told: plain values, checked once, importable without torch."""

from trainers.config.trial_config import TrialConfig, reference_of, teacher_of, with_params

__all__ = ["TrialConfig", "reference_of", "teacher_of", "with_params"]
