"""What a check says of recipes, and of classes of different sizes."""

from typing import Any

import numpy as np
import pytest

from orchestrator.driver.recipe_checks import RecipeChecks, balance_text, check_recipes
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.data import ImageData, load_data
from trainers.data.config import DataConfig


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_data(DataConfig(name="digits", limit=200))


def checked(data: ImageData, space: dict[str, Any], **training: Any) -> RecipeChecks:
    spec = SweepSpec.model_validate(
        {
            "name": "s",
            "backbone": {"name": "digitnet", "weights": "bundled"},
            "data": "digits",
            "space": space,
            "training": training,
            "objectives": {"accuracy": "maximize"},
        }
    )
    return check_recipes(spec, data)


BITS = {"bits": {"type": "choice", "values": [4, 8]}}


def choice(*values: Any) -> dict[str, Any]:
    return {"type": "choice", "values": list(values)}


def test_a_plain_recipe_needs_no_word(digits: ImageData) -> None:
    assert checked(digits, BITS) == RecipeChecks()


def test_colour_that_grey_images_lack_is_a_problem(digits: ImageData) -> None:
    found = checked(digits, BITS, augment="flip, color_jitter", tune="all")
    assert len(found.problems) == 1
    assert "the images are grey" in found.problems[0]


def test_a_recipe_that_fails_in_some_trials_is_noted(digits: ImageData) -> None:
    space = {"mixup": choice(0.0, 0.2), "class_weights": choice("none", "balanced")}
    found = checked(digits, space, tune="all")
    assert found.problems == []
    assert [note for note in found.notes if "some trials will fail: class_weights" in note]


def test_weights_of_other_classes_are_a_problem(digits: ImageData) -> None:
    (problem,) = checked(digits, BITS, class_weights=[1.0, 2.0]).problems
    assert "2 numbers, and there are 10 classes" in problem


def test_what_a_frozen_backbone_keeps_is_said(digits: ImageData) -> None:
    (note,) = checked(digits, BITS, augment="crop", views=4).notes
    assert "4 augmented views" in note
    (note,) = checked(digits, BITS, mixup=0.2).notes
    assert "no features are kept" in note


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([5, 5], "5 training images in each class"),
        ([5, 9], "5 (a) to 9 (b) training images in a class"),
        ([50, 9], "9 (b) to 50 (a) training images in a class; accuracy hardly counts"),
    ],
)
def test_the_smallest_and_the_largest_class_are_named(counts: list[int], said: str) -> None:
    assert balance_text("ab", np.repeat([0, 1], counts)).startswith(said)


def test_a_method_that_fails_in_some_trials_is_noted(digits: ImageData) -> None:
    space = {"halo": choice(0.0, 1e-8), "tune": choice("head", "all")}
    found = checked(digits, space)
    assert found.problems == []
    assert [note for note in found.notes if "some trials will fail: halo shrinks" in note]


def test_a_method_that_keeps_no_features_is_noted(digits: ImageData) -> None:
    (note,) = checked(digits, {**BITS, "adapter_rank": choice(0, 4)}).notes
    assert note.startswith("adapter_rank with tune: head: no features are kept")


def test_where_the_network_that_teaches_comes_from_is_noted(digits: ImageData) -> None:
    (note,) = checked(digits, {**BITS, "distillation": choice(0.0, 0.5)}).notes
    assert "with 'reference: true' that is a trial of its own" in note
