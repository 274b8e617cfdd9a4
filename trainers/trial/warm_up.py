"""What a worker does once, so that its first trial takes no longer than the next."""

from trainers.evaluators.attacks import foolbox_library


def warm_up(*, attacks: bool) -> None:
    """Import now what is imported at its first use; in a trial it would be taken for training.

    Args:
        attacks: Whether trials will attack their networks.
    """
    if attacks:
        foolbox_library()
