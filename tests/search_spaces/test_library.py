"""The spaces that ship with the package."""

import doctest

import pytest

import search_spaces
from search_spaces import SpaceError, library_names, library_path, load_space

# The parameters that the trainer reads; another name would be searched without any effect.
KNOWN_TO_THE_TRAINER = {
    *("fc_layers", "fc_width_1", "fc_width_2", "fc_width_3", "bits", "fc_bits", "tune"),
    *("learning_rate", "weight_decay", "dropout", "optimizer", "batch_size", "epochs"),
    *("label_smoothing", "backbone", "fc_rule", "fc_fraction"),
    *("quantizer", "scope", "rate_weight"),
}


def test_there_are_six_spaces():
    names = ("fc_head", "fc_quant", "fc_sizing", "full_finetune", "quantizers", "smoke")
    assert library_names() == names


@pytest.mark.parametrize("name", library_names())
def test_every_space_loads_and_names_only_parameters_that_the_trainer_knows(name):
    space = load_space(name)
    assert space.name == name
    assert set(space.names) <= KNOWN_TO_THE_TRAINER
    assert library_path(name).read_text().startswith("# ")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("smoke", 4),
        ("fc_quant", (9 + 9 * 4) * 6 * 5 * 3),
        ("fc_sizing", (5 + 3) * 7),
        ("quantizers", (3 + 3) * 3 * 5 * 3),
        ("fc_head", None),
        ("full_finetune", None),
    ],
)
def test_the_sizes_are_as_documented(name, size):
    assert load_space(name).size == size


def test_a_name_that_is_not_shipped_is_refused():
    for name in ("smok", "../smoke", ""):
        with pytest.raises(SpaceError, match="Unknown search space"):
            library_path(name)


def test_the_example_in_the_package_is_true():
    result = doctest.testmod(search_spaces)
    assert (result.failed, result.attempted) == (0, 4)


def test_everything_promised_is_there():
    assert search_spaces.__all__ == sorted(search_spaces.__all__)
    assert all(hasattr(search_spaces, name) for name in search_spaces.__all__)
