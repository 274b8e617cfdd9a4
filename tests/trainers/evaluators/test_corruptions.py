"""Accuracy on corrupted images: the published corruptions, the same for every network."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.evaluators.accuracy import predict
from trainers.evaluators.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    corrupted,
    corruption_accuracy,
)
from trainers.networks.network import build_network

NOISES = ("gaussian_noise", "shot_noise", "impulse_noise")
# Its blur calls an argument that scikit-image took away.
OTHERS = [name for name in CORRUPTIONS if name not in (*NOISES, "gaussian_blur")]


def pictures(side: int, channels: int = 3, count: int = 4) -> np.ndarray:
    """Smooth ones, with noise on them."""
    rng = np.random.default_rng(0)
    across = np.linspace(0, 3, side)
    waves = (
        np.sin(across[:, None] * rng.uniform(1, 3, (count, channels, 1, 1)) + across) * 90 + 120
    )
    return (waves + rng.integers(0, 30, waves.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package `imagecorruptions`, which asks for a module that setuptools took away."""
    absent = types.ModuleType("pkg_resources")
    absent.resource_filename = lambda *_: ""  # type: ignore[attr-defined]
    if "pkg_resources" not in sys.modules:
        monkeypatch.setitem(sys.modules, "pkg_resources", absent)
    return pytest.importorskip(
        "imagecorruptions.corruptions", reason="needs the package imagecorruptions"
    )


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_random_is_what_another_implementation_makes(
    peer: Any, name: str, severity: int
) -> None:
    images = pictures(96, count=2)
    ours = corrupted(images, name, severity, seed=0)
    for image, found in zip(images, ours, strict=True):
        picture = Image.fromarray(image.transpose(1, 2, 0))
        theirs = np.uint8(getattr(peer, name)(picture, severity)).transpose(2, 0, 1)
        # Cut at an integer, the last bit of a sum decides one step.
        assert np.abs(found.astype(int) - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize("severity", [1, 5])
@pytest.mark.parametrize("name", NOISES)
def test_noise_has_the_spread_of_another_implementation(
    peer: Any, name: str, severity: int
) -> None:
    images = pictures(96, count=6)
    ours = corrupted(images, name, severity, seed=0).astype(float)
    np.random.seed(0)  # noqa: NPY002 - the peer draws some of it from here
    theirs = np.stack(
        [
            np.uint8(getattr(peer, name)(Image.fromarray(i.transpose(1, 2, 0)), severity))
            for i in images
        ]
    ).transpose(0, 3, 1, 2)
    added, expected = ours - images, theirs.astype(float) - images
    # Both are drawn, one of them anew each time: the means differ by their standard errors.
    error = expected.std() * np.sqrt(2 / expected.size)
    assert added.mean() == pytest.approx(expected.mean(), abs=5 * error)
    assert added.std() == pytest.approx(expected.std(), rel=0.02)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize(("side", "channels"), [(8, 1), (32, 3), (65, 1)])
def test_a_higher_severity_changes_more(name: str, side: int, channels: int) -> None:
    images = pictures(side, channels)
    before = images.copy()
    first, last = (corrupted(images, name, each, seed=3) for each in (1, 5))
    assert np.array_equal(images, before)
    assert first.shape == last.shape == images.shape
    distances = [np.abs(each.astype(int) - images).mean() for each in (first, last)]
    assert distances[0] <= distances[1] > 0


def test_the_seed_decides_the_noise() -> None:
    images = pictures(16)
    first, same, other = (corrupted(images, "gaussian_noise", 3, seed=s) for s in (0, 0, 1))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_a_network_that_sees_nothing_of_it_keeps_its_accuracy() -> None:
    class Brighter(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            left, right = pixels[..., :8].mean((1, 2, 3)), pixels[..., 8:].mean((1, 2, 3))
            return torch.stack([left, right], dim=1)

    images = np.full((6, 3, 16, 16), 40, np.uint8)
    labels = np.arange(6) % 2
    for image, label in zip(images, labels, strict=True):
        image[..., 8 * label : 8 * label + 8] = 180
    assert corruption_accuracy(Brighter(), images, labels, samples=4, seed=0) == 1
    assert corruption_accuracy(Brighter(), images, 1 - labels, samples=4, seed=0) == 0


@pytest.mark.parametrize(("name", "severity"), [("fog", 1), ("contrast", 6)])
def test_what_is_unknown_is_told(name: str, severity: int) -> None:
    with pytest.raises(ValueError, match="gaussian_noise, shot_noise"):
        corrupted(pictures(8), name, severity, seed=0)


@pytest.mark.slow
@pytest.mark.shared_data
def test_a_trained_network_is_as_accurate_on_what_another_implementation_makes(
    peer: Any, shared_data: Path
) -> None:
    (weights,) = (shared_data / "weights_cifar10_resnet").glob("resnet20-*.th")
    (npz,) = (shared_data / "cifar10_lossless").glob("*.npz")
    with np.load(npz, allow_pickle=False) as file:
        images, labels = file["x_test"][:150], file["y_test"][:150].reshape(-1).astype(np.int64)
    # Three times as large, so that the severities of ImageNet-C apply.
    images = images.repeat(3, axis=1).repeat(3, axis=2)
    network = build_network("cifar_resnet20", weights=str(weights), widths=[], classes=10).eval()
    state = torch.load(weights, weights_only=True, map_location="cpu")["state_dict"]
    (classifier,) = (part for part in network.head if isinstance(part, torch.nn.Linear))
    parts = ("weight", "bias")
    classifier.load_state_dict({name: state[f"module.linear.{name}"] for name in parts})
    for name in OTHERS:
        theirs = np.stack([getattr(peer, name)(Image.fromarray(image), 2) for image in images])
        pair = corrupted(images.transpose(0, 3, 1, 2), name, 2, seed=0), _first(theirs)
        ours, other = (float((predict(network, each) == labels).mean()) for each in pair)
        # One image more or less, of 150.
        assert ours == pytest.approx(other, abs=0.0067)


def _first(pictures: np.ndarray) -> np.ndarray:
    """Channels first, in uint8."""
    return np.ascontiguousarray(np.uint8(pictures).transpose(0, 3, 1, 2))
