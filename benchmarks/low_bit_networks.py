"""The networks and images of the benchmarks of few bits."""

from pathlib import Path

import numpy as np
import torch
from kmeans_table import with_its_head
from torch import nn

from trainers.data import ImageData
from trainers.evaluators.accuracy import Images, Labels
from trainers.networks.network import Network, build_network


def loaded(backbone: str, weights: Path | None, images: Path | None) -> tuple[Network, ImageData]:
    """A network with its classifier, and images; random ones without files."""
    if weights is None or images is None:
        widths: list[int] = []
        network = build_network(backbone, weights="scratch", widths=widths, classes=10)
        return network.eval(), random_images()
    data = read(images)
    if backbone.startswith("cifar_"):
        return with_its_head(backbone, weights), data
    state = torch.load(weights, weights_only=True, map_location="cpu")
    weight, bias = (next(reversed([v for v in state.values() if v.ndim == n])) for n in (2, 1))
    classes = len(bias)
    network = build_network(backbone, weights=str(weights), widths=[], classes=classes).eval()
    (classifier,) = (part for part in network.head if isinstance(part, nn.Linear))
    classifier.load_state_dict({"weight": weight, "bias": bias})
    return network, data


def read(path: Path) -> ImageData:
    """The images of an npz, which need no validation here."""
    found = []
    with np.load(path, allow_pickle=False) as file:
        for subset in ("train", "test"):
            images = file[f"x_{subset}"]
            if images.shape[-1] == 3:
                images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
            found.append((images, file[f"y_{subset}"].astype(np.int64).reshape(-1)))
    return image_data(*found)


def random_images() -> ImageData:
    """Noise: enough to see that everything runs."""
    draws = np.random.default_rng(0)
    noise = draws.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
    labels = draws.integers(0, 10, 20)
    return image_data((noise, labels), (noise, labels))


def image_data(train: tuple[Images, Labels], test: tuple[Images, Labels]) -> ImageData:
    """Images with ten classes, which are not read here."""
    nothing = (train[0][:0], train[1][:0])
    classes = tuple(str(label) for label in range(10))
    return ImageData("images", classes, *train, *nothing, *test)
