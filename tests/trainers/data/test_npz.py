import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from trainers.data.npz import read_npz
from trainers.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def written(folder: Path, **arrays: np.ndarray) -> str:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize(("x", "y"), [("x_train", "y_train"), ("images", "labels"), ("x", "y")])
def test_each_pair_of_keys_is_read(tmp_path: Path, x: str, y: str) -> None:
    data = read_npz(written(tmp_path, **{x: IMAGES, y: LABELS, "other": LABELS}))
    assert (data.name, data.classes, data.test) == ("data", ("0", "1", "2"), None)
    assert np.array_equal(data.images, IMAGES.transpose(0, 3, 1, 2))
    assert data.images.flags.c_contiguous
    assert data.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("images", "shape"),
    [
        (IMAGES, (6, 3, 8, 10)),
        (IMAGES.transpose(0, 3, 1, 2), (6, 3, 8, 10)),
        (IMAGES[..., 0], (6, 1, 8, 10)),
        (IMAGES[..., :1], (6, 1, 8, 10)),
    ],
)
def test_each_layout_is_recognised(tmp_path: Path, images: np.ndarray, shape: tuple) -> None:
    data = read_npz(written(tmp_path, images=images, labels=LABELS))
    assert data.images.shape == shape
    assert np.array_equal(data.images[:, 0], IMAGES[..., 0])


def test_official_test_images_and_names_are_kept(tmp_path: Path) -> None:
    names = np.array(["cat", "dog", "owl"])
    path = written(
        tmp_path,
        x_train=IMAGES,
        y_train=LABELS,
        x_test=IMAGES[:2],
        y_test=LABELS[:2],
        classes=names,
    )
    data = read_npz(path)
    assert data.classes == ("cat", "dog", "owl")
    assert data.test is not None
    assert np.array_equal(data.test[0], data.images[:2])
    assert data.test[1].tolist() == [0, 1]


def test_labels_with_gaps_are_numbered_anew_under_their_old_names(tmp_path: Path) -> None:
    labels = np.array([[7], [-1], [30], [7], [-1], [30]], dtype=np.int16)
    data = read_npz(
        written(tmp_path, x_train=IMAGES, y_train=labels, x_test=IMAGES[:1], y_test=labels[2:3])
    )
    assert data.classes == ("-1", "7", "30")
    assert data.labels.tolist() == [1, 0, 2, 1, 0, 2]
    assert data.test is not None
    assert data.test[1].tolist() == [2]


def test_medmnists_keys_are_read_with_their_subsets(tmp_path: Path) -> None:
    parts = {"train": slice(0, 3), "val": slice(3, 5), "test": slice(5, 6)}
    arrays = {f"{name}_images": IMAGES[part] for name, part in parts.items()}
    arrays |= {f"{name}_labels": LABELS[part, None] for name, part in parts.items()}
    data = read_npz(written(tmp_path, **arrays))
    assert data.labels.tolist() == [0, 1, 2]
    assert data.val is not None
    assert data.test is not None
    assert np.array_equal(data.val[0], IMAGES[3:5].transpose(0, 3, 1, 2))
    assert (data.val[1].tolist(), data.test[1].tolist()) == ([0, 1], [2])
    assert data.notes == ()


def test_official_validation_images_are_read(tmp_path: Path) -> None:
    train = {"x_train": IMAGES, "y_train": LABELS}
    data = read_npz(written(tmp_path, **train, x_val=IMAGES[:2], y_val=LABELS[:2]))
    assert data.val is not None
    assert data.val[1].tolist() == [0, 1]
    assert data.test is None


def test_arrays_that_are_not_read_are_said(tmp_path: Path) -> None:
    train = {"x_train": IMAGES, "y_train": LABELS}
    path = written(tmp_path, **train, x_test=IMAGES, y_val=LABELS, index=LABELS)
    data = read_npz(path)
    assert (data.test, data.val) == (None, None)
    assert data.notes == (
        "arrays that are left out: y_val without x_val, x_test without y_test, index",
    )


@pytest.mark.parametrize(
    ("labels", "is_said"), [([-1, 0, 1, 2, 0, 1], True), ([-1, 1, 1, -1, 1, 1], False)]
)
def test_the_label_minus_one_is_said(tmp_path: Path, labels: list[int], is_said: bool) -> None:
    data = read_npz(written(tmp_path, images=IMAGES, labels=np.array(labels)))
    assert ("the label -1 is taken as a class, with 1 image(s)" in str(data.notes)) == is_said


def test_names_in_bytes_are_decoded(tmp_path: Path) -> None:
    arrays = {"images": IMAGES, "labels": LABELS}
    names = np.array([name.encode() for name in ("café", "thé", "x")])
    assert read_npz(written(tmp_path, **arrays, classes=names)).classes == ("café", "thé", "x")


BAD_ARRAYS = {
    "float images": ({"images": IMAGES / 255, "labels": LABELS}, "images of type float64"),
    "two channels": ({"images": IMAGES[..., :2], "labels": LABELS}, "neither is"),
    "both places": ({"images": IMAGES[:, :3], "labels": LABELS}, "both could be"),
    "flat images": ({"images": IMAGES[:, 0, 0], "labels": LABELS}, "images of shape"),
    "no images": ({"images": IMAGES[:0], "labels": LABELS[:0]}, "at least one image"),
    "fewer labels": ({"images": IMAGES, "labels": LABELS[:4]}, "6 images in images and 4 labels"),
    "float labels": ({"images": IMAGES, "labels": LABELS / 2}, "labels of type float64"),
    "one-hot labels": ({"images": IMAGES, "labels": np.eye(6, dtype=int)}, "wanted integers"),
    "one class": ({"images": IMAGES, "labels": LABELS * 0}, "one class only"),
    "no pair": ({"x_train": IMAGES, "labels": LABELS}, "Its keys: labels, x_train"),
    "label out of names": (
        {"images": IMAGES, "labels": LABELS, "classes": np.array(["a", "b"])},
        r"label\(s\) 2",
    ),
    "strange names": (
        {"images": IMAGES, "labels": LABELS, "classes": np.arange(3)},
        "classes of type int64",
    ),
    "names in another encoding": (
        {"images": IMAGES, "labels": LABELS, "classes": np.array([b"caf\xe9", b"a", b"b"])},
        "bytes, and not in UTF-8",
    ),
    "unlabelled images beside names": (
        {"images": IMAGES, "labels": LABELS - 1, "classes": np.array(["a", "b"])},
        "-1 often means that the class is not known",
    ),
    "other validation size": (
        {"x_train": IMAGES, "y_train": LABELS, "x_val": IMAGES[:, 1:], "y_val": LABELS},
        "must be equal",
    ),
    "new test label": (
        {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:1], "y_test": np.array([5])},
        r"y_test the label\(s\) 5",
    ),
    "other test size": (
        {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, 1:], "y_test": LABELS},
        "must be equal",
    ),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_arrays_that_cannot_be_meant_are_named(tmp_path: Path, case: str) -> None:
    arrays, complaint = BAD_ARRAYS[case]
    path = written(tmp_path, **arrays)
    with pytest.raises(DataError, match=complaint) as caught:
        read_npz(path)
    assert path in str(caught.value)


class Malice:
    def __reduce__(self) -> tuple:
        return os.system, ("touch pwned",)


def test_a_pickle_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inside = np.empty(6, dtype=object)
    inside[:] = [Malice()] * 6
    whole = tmp_path / "whole.npz"
    whole.write_bytes(pickle.dumps(Malice()))
    for path in (written(tmp_path, images=inside, labels=LABELS), str(whole)):
        with pytest.raises(DataError, match="plain arrays"):
            read_npz(path)
    assert not (tmp_path / "pwned").exists()


def test_files_that_are_not_whole_archives_are_refused(tmp_path: Path) -> None:
    good = Path(written(tmp_path, images=IMAGES, labels=LABELS)).read_bytes()
    plain = io.BytesIO()
    np.save(plain, IMAGES)
    broken = tmp_path / "broken.npz"
    for content in (
        b"",
        b"PK\x03\x04",
        good[:-30],
        good[: len(good) // 2],
        plain.getvalue(),
        b"x",
    ):
        broken.write_bytes(content)
        with pytest.raises(DataError, match=r"broken\.npz"):
            read_npz(str(broken))
    flipped = bytearray(good)
    flipped[300] ^= 0xFF
    broken.write_bytes(bytes(flipped))
    with pytest.raises(DataError, match=r"broken\.npz"):
        read_npz(str(broken))
    with pytest.raises(DataError, match="does not exist"):
        read_npz(str(tmp_path / "absent.npz"))
    with pytest.raises(DataError, match="cannot be read"):
        read_npz(str(tmp_path))
