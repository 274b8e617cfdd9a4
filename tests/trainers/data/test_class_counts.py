"""The number of classes without the images, compared with the images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data import DataConfig, data_names, load_data
from trainers.data.class_counts import count_classes
from trainers.errors import DataError


@pytest.mark.parametrize("name", data_names())
def test_every_named_data_set_has_a_number(name: str) -> None:
    assert count_classes(DataConfig(name=name)) == {"cifar100": 100, "caltech101": 101}.get(
        name, 10
    )


def test_the_number_of_digits_is_that_of_the_images() -> None:
    config = DataConfig(name="digits")
    assert count_classes(config) == len(load_data(config).classes)


def test_classes_of_a_folder_are_counted_without_opening_a_picture(tmp_path: Path) -> None:
    for name in ("cat", "dog", "eel"):
        (tmp_path / name).mkdir()
        for number in range(9):
            shade = 20 * ord(name[0]) % 200 + number
            Image.new("L", (8, 8), shade).save(tmp_path / name / f"{number}.png")
    config = DataConfig(folder=str(tmp_path))
    assert count_classes(config) == len(load_data(config).classes) == 3
    (tmp_path / "cat" / "0.png").write_bytes(b"broken")
    assert count_classes(config) == 3
    for name in ("dog", "eel"):
        shutil.rmtree(tmp_path / name)
    with pytest.raises(DataError, match="one class only"):
        count_classes(config)


def test_classes_of_an_npz_are_the_labels_that_occur(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    labels = np.array([3, 3, 7, 9] * 5)
    np.savez(path, images=np.zeros((20, 8, 8), np.uint8), labels=labels)
    assert count_classes(DataConfig(npz=str(path))) == 3
