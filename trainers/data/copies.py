"""Pictures that are equal, pixel for pixel."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainers.data.image_data import Images, Labels
from trainers.data.image_store import digest
from trainers.data.mapped import mapped_of
from trainers.errors import DataError


def digests(images: Images) -> list[bytes]:
    """Compute a digest of the content of each image.

    >>> import numpy as np
    >>> first, second, third = digests(np.array([[[[0]]], [[[9]]], [[[0]]]], dtype=np.uint8))
    >>> first == third, first == second
    (True, False)
    """
    mapped = mapped_of(images)
    if mapped is not None:
        return [each.tobytes() for each in mapped.records()["digest"]]
    return [digest(image) for image in images]


def first_equals(contents: Sequence[bytes]) -> NDArray[np.int64]:
    """Return for each image, given its digest, the index of the first equal image.

    >>> first_equals([b"a", b"b", b"a"]).tolist()
    [0, 1, 0]
    """
    seen: dict[bytes, int] = {}
    firsts = (seen.setdefault(content, index) for index, content in enumerate(contents))
    return np.fromiter(firsts, dtype=np.int64, count=len(contents))


def refuse_sameness(
    firsts: NDArray[np.int64], labels: Labels, classes: tuple[str, ...], *, name: str
) -> None:
    """Reject data in which all images, or all images of a class, are equal.

    Args:
        firsts: As `first_equals` gives them.
        labels: int64 (N,), in [0, len(classes)).
        classes: Names of the classes.
        name: Of the data set, for the error text.

    Raises:
        DataError: All images are equal, or all of a class; the text names it.

    >>> firsts, labels = np.array([0, 0]), np.array([0, 1])
    >>> refuse_sameness(firsts, labels, ("a", "b"), name="mine")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.DataError: data set mine: all 2 images are equal, pixel for pixel. ...
    """
    advice = (
        "Look at the files: what they show may lie in an alpha channel of white, or was lost when "
        "they were written."
    )
    if len(firsts) > 1 and (firsts == firsts[0]).all():
        raise DataError(
            f"data set {name}: all {len(firsts):,} images are equal, pixel for pixel. {advice}"
        )
    for label, title in enumerate(classes):
        members = firsts[labels == label]
        if len(members) > 1 and (members == members[0]).all():
            raise DataError(
                f"data set {name}: all {len(members):,} images of the class {title!r} are equal, "
                f"pixel for pixel. {advice}"
            )
