"""What a check says of recipes, and of classes of different sizes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from orchestrator.driver.recipe_checks import RecipeChecks, balance_text, check_recipes
from orchestrator.quantities import human
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.data import ImageData, load_data
from trainers.data.config import DataConfig


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_data(DataConfig(name="digits", limit=200))


def sweep(space: dict[str, Any], pruning: Any = None, **training: Any) -> SweepSpec:
    return SweepSpec.model_validate(
        {
            "name": "s",
            "backbone": {"name": "digitnet", "weights": "bundled"},
            "data": "digits",
            "space": space,
            "training": training,
            "pruning": pruning,
            "objectives": {"accuracy": "maximize"},
        }
    )


def checked(data: ImageData, space: dict[str, Any], **training: Any) -> RecipeChecks:
    return check_recipes(sweep(space, **training), data)


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


def test_settings_that_only_some_trials_combine_are_noted_once(digits: ImageData) -> None:
    space = {"pruning_sparsity": {"type": "float", "low": 0.0, "high": 0.9}, **BITS}
    found = checked(digits, {**space, "patience": choice(0, 5)}, tune="all")
    assert found.problems == []
    (note,) = found.notes
    assert "some trials will fail: pruning_sparsity is 0" in note
    assert "patience is set" in note
    space["pruning_sparsity"]["low"] = 0.1
    (problem,) = checked(digits, space, tune="all", patience=5).problems
    assert "patience is set" in problem


def test_settings_are_combined_where_the_images_are_elsewhere() -> None:
    spec = sweep({"patience": choice(0, 5)}, tune="all", pruning={"sparsity": 0.5})
    (note,) = check_recipes(spec, None).notes
    assert "patience is set" in note
    assert (
        check_recipes(spec, None, said=[note.removeprefix("some trials will fail: ")]).notes == []
    )


def test_weights_of_other_classes_are_a_problem(digits: ImageData) -> None:
    (problem,) = checked(digits, BITS, class_weights=[1.0, 2.0]).problems
    assert "2 numbers, and there are 10 classes" in problem


def test_what_a_frozen_backbone_keeps_is_said(digits: ImageData) -> None:
    (note,) = checked(digits, BITS, augment="crop", views=4).notes
    assert "4 augmented views" in note
    (note,) = checked(digits, BITS, mixup=0.2).notes
    assert "no features are kept" in note


def test_features_take_the_memory_of_the_network_that_is_built(digits: ImageData) -> None:
    n_bytes = 4 * 2 * 576 * 3 * len(digits.train_labels)
    (note,) = checked(digits, {"width_multiplier": choice(2.0)}, augment="crop", views=3).notes
    assert (
        f"3 augmented views of each image are computed once ({human('memory_bytes', n_bytes)})"
        in note
    )


def test_features_that_are_too_large_to_be_kept_are_said(digits: ImageData) -> None:
    space = {"width_multiplier": choice(8.0)}
    many = replace(digits, train_labels=np.resize(digits.train_labels, 60_000))
    (note,) = checked(many, space, augment="crop", views=9).notes
    assert "too large to be kept, and each epoch computes the whole backbone" in note


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
