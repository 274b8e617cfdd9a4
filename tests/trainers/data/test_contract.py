"""Images of every source keep the promises that those of a user's own are tested for."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data import DataConfig
from trainers.testing.data_contract import DataContract

FUNCTIONS = """
import numpy as np
rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 255, (90, 8, 8, 3)).astype(np.uint8)
LABELS = np.arange(90) % 3

def arrays():
    return {"x_train": IMAGES, "y_train": LABELS}

class Pairs:
    def __len__(self):
        return len(IMAGES)
    def __getitem__(self, index):
        return IMAGES[index], LABELS[index]
"""


class TestNamed(DataContract):
    @pytest.fixture
    def config(self) -> DataConfig:
        return DataConfig(name="digits", limit=150)


class TestFolder(DataContract):
    @pytest.fixture
    def config(self, tmp_path: Path) -> DataConfig:
        rng = np.random.default_rng(0)
        for number in range(60):
            place = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (9, 12, 3), np.uint8)).save(place)
        return DataConfig(folder=str(tmp_path / "pictures"))


class TestNpz(DataContract):
    @pytest.fixture
    def config(self, tmp_path: Path) -> DataConfig:
        rng = np.random.default_rng(0)
        file = tmp_path / "images.npz"
        np.savez(file, images=rng.integers(0, 255, (60, 8, 8), np.uint8), labels=np.arange(60) % 2)
        return DataConfig(npz=str(file))


class TestFunctions(DataContract):
    @pytest.fixture(params=["arrays", "Pairs"])
    def name(self, request: pytest.FixtureRequest, tmp_path: Path) -> str:
        file = tmp_path / "my_data.py"
        file.write_text(FUNCTIONS)
        return f"{file}:{request.param}"
