"""At which epochs trials are compared."""


def halving_milestones(min_epochs: int, reduction: int, epochs: int) -> tuple[int, ...]:
    """``min_epochs * reduction**k`` for k = 0, 1, ..., as far as they lie below `epochs`.

    From one to the next a trial that goes on costs `reduction` times as much, and one in
    `reduction` does, so that every milestone costs the sweep about the same.
    """
    found = []
    epoch = min_epochs
    while epoch < epochs:
        found.append(epoch)
        epoch *= reduction
    return tuple(found)


def even_milestones(min_epochs: int, epochs: int) -> tuple[int, ...]:
    """Every `min_epochs` epochs, below `epochs`."""
    return tuple(range(min_epochs, epochs, min_epochs))
