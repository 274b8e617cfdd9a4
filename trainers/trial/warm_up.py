"""Imports that a worker does in advance, so that its first trial is not slower than others."""

from trainers.evaluators.attacks import foolbox_library


def warm_up(*, attacks: bool) -> None:
    """Import slow libraries now; during a trial their import would count as training time.

    Args:
        attacks: Whether trials will attack their networks.
    """
    if attacks:
        foolbox_library()
