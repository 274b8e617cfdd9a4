"""What a seed decides on every x86-64 processor alike: `docs/reproducibility.md`.

The digests are of the versions in `requirements.lock`; `make processors` computes them on the
kernels of other processors.
"""

import hashlib

import numpy as np
import pytest
import torch
from torch import Tensor

from trainers.data import DataConfig, load_data
from trainers.determinism import derive_seed
from trainers.networks.heads import build_head
from trainers.quantization.quantized import dequantize
from trainers.quantization.weights import quantize_weight


def digest(*arrays: np.ndarray | Tensor) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:12]


def test_which_images_are_in_which_subset_is_the_seeds() -> None:
    data = load_data(DataConfig(name="digits"))
    assert digest(data.train_images, data.val_images, data.test_images) == "83a5ee5ae334"


def test_the_order_of_the_images_and_the_dropout_masks_are_the_seeds() -> None:
    order = np.random.default_rng(derive_seed(0, "order", 1)).permutation(1_000)
    assert digest(order) == "ca266afe466a"
    masks = torch.Generator().manual_seed(derive_seed(0, "dropout", 1))
    assert digest(torch.empty(64, 100).bernoulli_(0.8, generator=masks)) == "6ede095c2cd9"


@pytest.mark.parametrize(
    ("scheme", "expected"), [("symmetric", "92f55fd06e2d"), ("affine", "385b35348f10")]
)
def test_codes_and_what_they_stand_for_are_those_of_the_weights(
    scheme: str, expected: str
) -> None:
    """Each is a rounding, a product or a largest value; nothing is added up."""
    drawn = np.random.default_rng(0).standard_normal((32, 16, 3, 3), np.float32)
    packed = [
        quantize_weight(torch.from_numpy(drawn), bits, scheme=scheme, scope=scope)
        for bits in (2, 4, 8)
        for scope in ("channel", "layer")
    ]
    assert digest(*(each.codes for each in packed), *map(dequantize, packed)) == expected


def test_initial_weights_are_the_seeds_up_to_the_last_bit() -> None:
    """They are normal numbers by torch, whose kernels take logarithms and cosines."""
    weight = build_head(576, (64,), 10, seed=3)[0].weight.detach()
    given = torch.tensor([0.01886615, -0.03064558, -0.08900269, -0.08416563])
    found = weight[[0, 10, 30, 63], [0, 100, 300, 575]]
    # A few roundings of the largest, which are five times their spread of 0.059.
    torch.testing.assert_close(found, given, rtol=0, atol=8 * 2**-24)
