"""Seeded, stratified subsets of labels."""

import numpy as np
from numpy.typing import NDArray

from trainers.data.image_data import Labels
from trainers.errors import DataError

Indices = NDArray[np.int64]


def split_indices(
    labels: Labels, classes: tuple[str, ...], fractions: tuple[float, ...], seed: int
) -> list[Indices]:
    """Cut labels into parts that hold each class in the same proportion.

    Each part gets the share `fraction` of each class, rounded, and at least one image; the
    remainder is the last part.

    Args:
        labels: int64 (N,), in [0, len(classes)).
        classes: Names of the classes, for the error text.
        fractions: Share of each part in (0, 1); their sum is below 1.
        seed: Decides which image goes where.

    Returns:
        `len(fractions) + 1` sorted, disjoint arrays of indices that together hold every index.

    Raises:
        DataError: A class has fewer images than there are parts.

    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> train, val = split_indices(labels, ("a", "b"), (0.75,), seed=0)
    >>> np.bincount(labels[train]).tolist(), np.bincount(labels[val]).tolist()
    ([3, 3], [1, 1])
    """
    parts: list[list[Indices]] = [[] for _ in range(len(fractions) + 1)]
    rng = np.random.default_rng(seed)
    for label, name in enumerate(classes):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) < len(parts):
            raise DataError(
                f"class {name!r} has {len(members)} image(s), copies not counted, and "
                f"{len(parts)} are needed to have one in each subset. Add images to the class, "
                f"leave it out, or raise data.limit if you set it."
            )
        chunks = np.split(members, _cuts(len(members), fractions))
        for part, chunk in zip(parts, chunks, strict=True):
            part.append(chunk)
    return [np.sort(np.concatenate(part)) for part in parts]


def _cuts(count: int, fractions: tuple[float, ...]) -> list[int]:
    """Where to cut `count` images, so that every part and the remainder keep at least one."""
    cuts = [0]
    for index, fraction in enumerate(fractions):
        still_to_serve = len(fractions) - index
        wanted = max(1, int(count * fraction + 0.5))
        cuts.append(min(cuts[-1] + wanted, count - still_to_serve))
    return cuts[1:]


def stratified_choice(labels: Labels, count: int, seed: int) -> Indices:
    """Choose `min(count, N)` indices, sorted, with the classes in their proportions.

    The j-th of a class's n images (in a seeded order) has the rank (j + 1/2) / n; the `count`
    images of lowest rank are chosen, so that a larger choice contains a smaller one.

    >>> labels = np.array([0, 0, 0, 0, 1, 1])
    >>> labels[stratified_choice(labels, 3, seed=0)].tolist()
    [0, 0, 1]
    """
    rng = np.random.default_rng(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[rng.permutation(members)] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(np.argsort(place, kind="stable")[:count])
