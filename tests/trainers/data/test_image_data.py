import pickle
from dataclasses import replace

import numpy as np
import pytest

from trainers.data import ImageData


def tiny() -> ImageData:
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    labels = np.array([0, 1])
    return ImageData("tiny", ("a", "b"), images, labels, images + 1, labels, images + 2, labels)


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_a_subset_is_handed_out_without_a_copy(name: str) -> None:
    data = tiny()
    images, labels = data.subset(name)
    assert images is getattr(data, f"{name}_images")
    assert labels is getattr(data, f"{name}_labels")


def test_an_unknown_subset_is_refused() -> None:
    with pytest.raises(ValueError, match="known: train, val, test"):
        tiny().subset("dev")


def test_equal_data_have_equal_fingerprints() -> None:
    data = tiny()
    assert data.fingerprint() == tiny().fingerprint()
    assert len(data.fingerprint()) == 64
    copied = pickle.loads(pickle.dumps(data))  # noqa: S301 - our own bytes
    assert copied.fingerprint() == data.fingerprint()


def test_notes_are_no_part_of_the_fingerprint() -> None:
    data = replace(tiny(), notes=("read in the morning",))
    assert data.fingerprint() == tiny().fingerprint()


def test_any_change_changes_the_fingerprint() -> None:
    data = tiny()
    swapped = replace(data, val_images=data.test_images, test_images=data.val_images)
    changed = data.train_images.copy()
    changed[0, 0, 0, 0] += 1
    others = [
        swapped,
        replace(data, train_images=changed),
        replace(data, test_labels=data.test_labels[::-1].copy()),
        replace(data, classes=("a", "c")),
        replace(data, name="other"),
        replace(data, train_images=data.train_images.reshape(2, 3, 2, 8)),
    ]
    assert len({data.fingerprint(), *(other.fingerprint() for other in others)}) == 7


def test_read_only_arrays_are_enough() -> None:
    data = tiny()
    for array in (data.train_images, data.val_images, data.test_images, data.train_labels):
        array.flags.writeable = False
    assert data.fingerprint() == tiny().fingerprint()
