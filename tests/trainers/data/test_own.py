"""Images from a function of a user's own."""

from pathlib import Path

import numpy as np
import pytest

from trainers.data import DataConfig, load_data
from trainers.data.class_counts import count_classes
from trainers.doors import DoorError
from trainers.errors import DataError

MODULE = """
import numpy as np
import torch
from torch.utils.data import TensorDataset

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 255, (60, 3, 8, 8)).astype(np.uint8)
LABELS = np.arange(60) % 3

def arrays():
    return {"x_train": IMAGES, "y_train": LABELS}

def pairs():
    return TensorDataset(torch.tensor(IMAGES), torch.tensor(LABELS))

def floats():
    return {"x_train": IMAGES / 255, "y_train": LABELS}

def raising():
    raise OSError("no such drive")

def nothing():
    return None

def ending():
    raise SystemExit(2)

class Ended:
    def __len__(self):
        return 60
    def __getitem__(self, index):
        if index == 5:
            raise StopIteration
        return IMAGES[index], LABELS[index]

def empty():
    return []

def probabilities():
    return [(image, 0.3 * label) for image, label in zip(IMAGES, LABELS)]
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "my_data.py"
    path.write_text(MODULE)
    return path


def test_arrays_and_a_data_set_of_the_same_images_are_the_same(module: Path) -> None:
    arrays, pairs = (
        load_data(DataConfig(dataset=f"{module}:{name}")) for name in ("arrays", "pairs")
    )
    assert arrays.content() == pairs.content()
    assert arrays.name == "arrays"
    assert arrays.classes == ("0", "1", "2")
    assert sum(len(arrays.subset(name)[1]) for name in ("train", "val", "test")) == 60
    assert arrays.train_images.dtype == np.uint8
    assert count_classes(DataConfig(dataset=f"{module}:arrays")) == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("floats", "of type float64; wanted uint8"),
        ("raising", "could not be read: OSError: no such drive"),
        ("nothing", "could not be read: TypeError"),
        ("ending", "could not be read: SystemExit: 2"),
        ("empty", "could not be read: ValueError: it holds no images"),
        ("probabilities", "could not be read: ValueError: a label is 0.3; integers are wanted"),
    ],
)
def test_what_is_no_data_set_is_refused_with_what_would_do(
    module: Path, name: str, said: str
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        load_data(DataConfig(dataset=f"{module}:{name}"))
    assert f"data.dataset {module}:{name}" in str(caught.value)
    assert "x_train" in str(caught.value)


@pytest.mark.parametrize("in_memory", [0, 2**20])
def test_an_image_that_ends_the_iteration_is_named_with_the_line(
    module: Path, tmp_path: Path, in_memory: int
) -> None:
    config = DataConfig(
        dataset=f"{module}:Ended", in_memory=in_memory, images_folder=str(tmp_path / "images")
    )
    said = r"5.* StopIteration without a message \(.*my_data.py:\d+ in __getitem__: raise Stop"
    with pytest.raises(DataError, match=said):
        load_data(config)


def test_a_function_that_is_not_there_is_named(module: Path) -> None:
    with pytest.raises(DoorError, match="has no 'absent'"):
        load_data(DataConfig(dataset=f"{module}:absent"))


def test_one_source_is_needed() -> None:
    with pytest.raises(ValueError, match="given: name, dataset"):
        DataConfig(name="digits", dataset="my_data:load")
