"""What every function promises that measures a network for an objective of a user's own."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from trainers.doors import call_measure, reference_digest
from trainers.networks.network import Network, build_network

_CLASSES = 3


class ObjectiveContract:
    """Subclass it, and give the fixture ``name`` as a sweep file would, resolved.

    Attributes:
        repeats: Whether the same network has the same value again; not so if time is measured.
    """

    repeats = True

    @pytest.fixture
    def name(self) -> str:
        """Give the name of the function."""
        raise NotImplementedError("Give the name of the function to be tested.")

    @pytest.fixture
    def images(self) -> np.ndarray:
        """Give twelve images of noise: uint8 (N, C, H, W)."""
        return np.random.default_rng(0).integers(0, 256, (12, 1, 28, 28), np.uint8)

    @pytest.fixture
    def labels(self, images: np.ndarray) -> np.ndarray:
        """Give their labels, of three classes."""
        return np.arange(len(images)) % _CLASSES

    @pytest.fixture
    def network(self) -> Network:
        """Give a network for these images, with random weights."""
        return _network(width=8)

    @pytest.mark.parametrize("count", [2, 3, 12])
    def test_it_gives_a_finite_number_for_any_number_of_images(
        self, name: str, network: Network, images: np.ndarray, labels: np.ndarray, count: int
    ) -> None:
        assert np.isfinite(call_measure(name, network, images[:count], labels[:count]))

    @pytest.mark.parametrize("width", [1, 64])
    def test_it_measures_networks_of_any_size(
        self, name: str, images: np.ndarray, labels: np.ndarray, width: int
    ) -> None:
        assert np.isfinite(call_measure(name, _network(width), images, labels))

    def test_the_same_network_has_the_same_value(
        self, name: str, network: Network, images: np.ndarray, labels: np.ndarray
    ) -> None:
        first, second = (call_measure(name, network, images, labels) for _ in range(2))
        assert first == second or not self.repeats

    def test_network_and_images_are_left_as_they_were(
        self, name: str, network: Network, images: np.ndarray, labels: np.ndarray
    ) -> None:
        before = copy.deepcopy((network.state_dict(), images, labels))
        call_measure(name, network, images, labels)
        assert not network.training
        assert all(value.equal(before[0][key]) for key, value in network.state_dict().items())
        assert (images == before[1]).all()
        assert (labels == before[2]).all()

    def test_settings_of_torch_are_left_as_they_were(
        self, name: str, network: Network, images: np.ndarray, labels: np.ndarray
    ) -> None:
        before = _settings()
        call_measure(name, network, images, labels)
        assert _settings() == before

    def test_it_is_found_from_another_folder_and_known_by_its_content(
        self,
        name: str,
        network: Network,
        images: np.ndarray,
        labels: np.ndarray,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        digest = reference_digest(name)
        monkeypatch.chdir(tmp_path)
        assert reference_digest(name) == digest
        assert np.isfinite(call_measure(name, network, images, labels))


def _network(width: int) -> Network:
    return build_network("digitnet", weights="scratch", widths=(width,), classes=_CLASSES).eval()


def _settings() -> tuple[object, ...]:
    return torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
