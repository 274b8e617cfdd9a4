import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainers.files.predictions import (
    Attacked,
    Predictions,
    PredictionsError,
    read_predictions,
    write_predictions,
)

classes = hnp.arrays(np.int64, st.shared(st.integers(1, 40), key="n"), elements=st.integers(0, 99))
attacks = st.dictionaries(
    st.from_regex(r"robust_accuracy\w{0,4}", fullmatch=True),
    st.integers(0, 20).flatmap(
        lambda m: st.builds(
            Attacked, hnp.arrays(np.int64, m, elements=st.integers(0, 99)), hnp.arrays(np.bool_, m)
        )
    ),
    max_size=3,
)


sentences = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=9)
signs = st.dictionaries(
    st.just("masked_gradient_signs"), st.lists(sentences, max_size=3).map(tuple)
)


@pytest.mark.slow
@given(classes, classes, attacks, signs)
def test_what_was_written_is_read(tmp_path: Path, labels, predicted, attacked, signs) -> None:
    path = tmp_path / "predictions.npz"
    write_predictions(path, Predictions(labels, predicted, attacked, signs))
    found = read_predictions(path)
    assert found.signs == signs
    assert (found.labels == labels).all()
    assert (found.predicted == predicted).all()
    assert (found.correct == (labels == predicted)).all()
    assert found.attacked.keys() == attacked.keys()
    for name, expected in attacked.items():
        assert (found.attacked[name].chosen == expected.chosen).all()
        assert (found.attacked[name].robust == expected.robust).all()
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch) -> None:
    path, labels = tmp_path / "predictions.npz", np.zeros(3, np.int64)
    write_predictions(path, Predictions(labels, labels))

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_predictions(path, Predictions(labels, labels + 1))
    assert read_predictions(path).predicted.tolist() == [0, 0, 0]
    assert list(tmp_path.iterdir()) == [path]


def _other_arrays(path: Path) -> None:
    np.savez(path, weights=np.zeros(3))


def _objects(path: Path) -> None:
    np.savez(path, labels=np.array([object()]), predicted=np.zeros(1))


def _one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def _truncated(path: Path) -> None:
    labels = np.arange(300)
    write_predictions(path, Predictions(labels, labels))
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    "damage",
    [
        _other_arrays,
        _objects,
        _truncated,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no archive"),
        lambda path: path.write_bytes(pickle.dumps({"labels": [1]})),
        _one_array,
    ],
)
def test_another_or_a_damaged_file_is_refused_by_name(tmp_path: Path, damage) -> None:
    path = tmp_path / "predictions.npz"
    damage(path)
    with pytest.raises(PredictionsError, match=r"predictions\.npz holds no predictions"):
        read_predictions(path)


def test_a_file_that_is_gone_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_predictions(tmp_path / "predictions.npz")
