import math

import pytest

from trainers.data import DataConfig, data_names


@pytest.mark.parametrize("name", data_names())
def test_every_known_name_is_accepted(name: str) -> None:
    assert DataConfig(name=name).name == name


def test_the_promised_data_sets_are_known() -> None:
    assert set(data_names()) == {
        "digits",
        "cifar10",
        "cifar100",
        "svhn",
        "stl10",
        "mnist",
        "fashion_mnist",
        "caltech101",
    }


def test_a_name_with_a_slip_gets_the_nearest() -> None:
    with pytest.raises(ValueError, match="Did you mean 'fashion_mnist'"):
        DataConfig(name="fashionmnist")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "given: none"),
        ({"name": "digits", "npz": "a.npz"}, "given: name, npz"),
        ({"name": "digits", "val_fraction": 0.0}, "val_fraction is 0.0"),
        ({"name": "digits", "val_fraction": math.nan}, "val_fraction is nan"),
        ({"name": "digits", "test_fraction": 1.0}, "test_fraction is 1.0"),
        ({"name": "digits", "val_fraction": 0.5, "test_fraction": 0.5}, "nothing to train on"),
        ({"name": "digits", "limit": 0}, "limit is 0"),
        ({"name": "digits", "image_size": -3}, "image_size is -3"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(arguments: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        DataConfig(**arguments)
