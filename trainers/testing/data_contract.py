"""What every set of images promises, wherever it comes from."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from trainers.data import DataConfig, ImageData, load_data
from trainers.data.class_counts import count_classes

_SUBSETS = ("train", "val", "test")
_PROGRAM = """
import json, sys
from trainers.data import DataConfig, load_data
print(json.dumps(load_data(DataConfig(**json.loads(sys.argv[1]))).content()))
"""


class DataContract:
    """Subclass it, and give the fixture ``name`` as a sweep file would, resolved.

    For images that no function returns, give the fixture ``config`` instead.
    """

    @pytest.fixture
    def name(self) -> str:
        """Give the name of the function that returns images."""
        raise NotImplementedError("Give the name of the function to be tested.")

    @pytest.fixture
    def config(self, name: str) -> DataConfig:
        """Give the section ``data`` of a sweep file."""
        return DataConfig(dataset=name)

    @pytest.fixture
    def data(self, config: DataConfig) -> ImageData:
        """Give what is loaded."""
        return load_data(config)

    @pytest.mark.parametrize("subset", _SUBSETS)
    def test_images_are_pixels_and_labels_are_classes(self, data: ImageData, subset: str) -> None:
        images, labels = data.subset(subset)
        assert len(images) == len(labels) > 0
        assert images.dtype == np.uint8
        assert images.shape[1] in (1, 3)
        assert images.shape[1:] == data.train_images.shape[1:]
        assert set(np.unique(labels)) <= set(range(len(data.classes)))

    def test_every_class_can_be_learned(self, config: DataConfig, data: ImageData) -> None:
        assert set(np.unique(data.train_labels)) == set(range(len(data.classes)))
        assert len(set(data.classes)) == len(data.classes) == count_classes(config)

    def test_no_image_is_in_two_subsets(self, data: ImageData) -> None:
        seen = [{image.tobytes() for image in data.subset(name)[0]} for name in _SUBSETS]
        assert len(set.union(*seen)) == sum(map(len, seen))

    def test_the_same_images_come_again_in_another_folder(
        self, config: DataConfig, data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = data.content()
        monkeypatch.chdir(tmp_path)
        assert load_data(config).content() == content

    def test_another_process_gets_the_same_images(
        self, config: DataConfig, data: ImageData, tmp_path: Path
    ) -> None:
        # Of another seed of hashes: sets of text have another order there.
        environment = {**os.environ, "PYTHONHASHSEED": "7"}
        ended = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", _PROGRAM, json.dumps(asdict(config))],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout.splitlines()[-1]) == data.content()

    def test_images_that_are_decoded_to_a_file_are_the_same(
        self, config: DataConfig, data: ImageData, tmp_path: Path
    ) -> None:
        decoded = load_data(replace(config, in_memory=0, images_folder=str(tmp_path)))
        assert decoded.content() == data.content()
