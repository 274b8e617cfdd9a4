"""Accuracy: what it counts, and what it leaves alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from trainers.errors import TrainerError
from trainers.evaluators.accuracy import (
    accuracy,
    compute_logits,
    feature_vectors,
    logits_from,
    predict,
)
from trainers.networks.network import build_network


class Brightest(nn.Module):
    """Answers with the place of the brightest pixel: what is right is known without training."""

    def forward(self, pixels: Tensor) -> Tensor:
        assert pixels.dtype == torch.float32
        assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1
        return pixels.flatten(1)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 2, 3)).astype(np.uint8)


@given(st.integers(0, 20), st.integers(1, 9))
def test_predictions_do_not_depend_on_the_batch_size(count: int, batch_size: int) -> None:
    pictures = images(count)
    answers = predict(Brightest(), pictures, batch_size=batch_size)
    assert answers.dtype == np.int64
    np.testing.assert_array_equal(answers, pictures.reshape(count, 6).argmax(1))


@pytest.mark.parametrize("count", [1, 300])
def test_the_head_answers_from_features_as_the_whole_network_does(count: int) -> None:
    network = build_network("digitnet", weights="scratch", widths=(8,), classes=10)
    pictures = np.random.default_rng(0).integers(0, 256, (count, 1, 8, 8)).astype(np.uint8)
    vectors = feature_vectors(network, pictures)
    assert vectors.shape == (count, network.spec.n_features)
    assert not vectors.requires_grad
    logits = logits_from(network.head, vectors)
    np.testing.assert_array_equal(logits, compute_logits(network, pictures))


def test_accuracy_is_the_fraction_that_is_right() -> None:
    pictures = images(8)
    labels = pictures.reshape(8, 6).argmax(1)
    assert accuracy(Brightest(), pictures, labels) == 1
    labels[:3] = (labels[:3] + 1) % 6
    assert accuracy(Brightest(), pictures, labels, batch_size=3) == 5 / 8
    assert accuracy(Brightest(), pictures[:1], labels[:1]) == 0


def test_the_first_of_several_equal_answers_counts() -> None:
    assert predict(Brightest(), np.full((2, 1, 2, 3), 7, np.uint8)).tolist() == [0, 0]


def test_read_only_and_strided_images_are_fine() -> None:
    pictures = images(8)[::2]
    pictures.setflags(write=False)
    labels = pictures.reshape(4, 6).argmax(1)
    labels.setflags(write=False)
    assert accuracy(Brightest(), pictures, labels) == 1


def test_measuring_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.9), nn.Flatten())
    network.train()
    network[1].eval()
    network[0].weight.requires_grad_(requires_grad=False)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first, second = (predict(network, images(50)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert [module.training for module in network] == [True, False, True, True]
    assert network.training
    assert [p.requires_grad for p in network.parameters()] == [False, True, True, True]
    assert all(torch.equal(state[name], t) for name, t in network.state_dict().items())


def test_the_network_is_put_back_after_an_error_too() -> None:
    class Failing(nn.Linear):
        def forward(self, _: Tensor) -> Tensor:
            assert not self.training
            assert not self.weight.requires_grad
            raise KeyError

    network = Failing(2, 2).train()
    with pytest.raises(KeyError):
        predict(network, images(1))
    assert network.training
    assert network.weight.requires_grad


def test_an_empty_set_has_no_accuracy() -> None:
    with pytest.raises(ValueError, match="no images to measure an accuracy on"):
        accuracy(Brightest(), images(0), np.empty(0, np.int64))


def test_labels_must_match() -> None:
    with pytest.raises(ValueError, match=r"3 images have labels of shape \(2,\)"):
        accuracy(Brightest(), images(3), np.zeros(2, np.int64))


@pytest.mark.parametrize("wrong", [np.zeros((2, 1, 2, 3)), np.zeros((2, 2, 3), np.uint8)])
def test_other_arrays_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"images are uint8 arrays of shape \(N, C, H, W\); got"):
        predict(Brightest(), wrong)


def test_a_batch_has_at_least_one_image() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        predict(Brightest(), images(1), batch_size=0)


def test_nan_is_an_error_and_no_class() -> None:
    class Overflowing(Brightest):
        def forward(self, pixels: Tensor) -> Tensor:
            return torch.where(pixels.flatten(1) > 0.9, torch.nan, 0.0)

    pictures = np.zeros((5, 1, 2, 3), np.uint8)
    pictures[:2, 0, 0] = 255
    with pytest.raises(TrainerError, match="answers 2 of 5 images with NaN"):
        predict(Overflowing(), pictures)
