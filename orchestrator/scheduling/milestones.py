"""At which epochs trials are compared."""


def halving_milestones(min_epochs: int, reduction: int, epochs: int) -> tuple[int, ...]:
    """Return ``min_epochs * reduction**k`` for k = 0, 1, ..., as far as it is below `epochs`.

    From one milestone to the next, a trial that goes on costs `reduction` times as much, and one
    in `reduction` goes on, so that every rung costs the sweep about the same.

    >>> halving_milestones(1, 3, 27)
    (1, 3, 9)
    """
    found = []
    epoch = min_epochs
    while epoch < epochs:
        found.append(epoch)
        epoch *= reduction
    return tuple(found)


def even_milestones(min_epochs: int, epochs: int) -> tuple[int, ...]:
    """Return every multiple of `min_epochs` below `epochs`.

    >>> even_milestones(2, 8)
    (2, 4, 6)
    """
    return tuple(range(min_epochs, epochs, min_epochs))
