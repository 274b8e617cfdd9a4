"""The recipe in a sweep file."""

from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.spec.files import load_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.recipes.config import RecipeConfig

SWEEP = """
name: recipes
backbone: {name: digitnet, weights: bundled}
data: digits
space: smoke
objectives: {accuracy: maximize}
training: {%s}
"""


def loaded(folder: Path, training: str) -> SweepSpec:
    path = folder / "sweep.yaml"
    path.write_text(SWEEP % training)
    return load_sweep(path)


def test_every_key_reaches_the_trial(tmp_path: Path) -> None:
    lists = "augment: [flip, {rotation: 10}], class_weights: [1, 2.5]"
    spec = loaded(tmp_path, f"{lists}, ema: 0.9, best: true, epochs: 3")
    config = spec.trial_config()
    assert config.recipe == RecipeConfig(
        augment="flip, rotation:10", class_weights=(1.0, 2.5), ema=0.9, best=True
    )
    assert config.epochs == 3
    assert SweepSpec.model_validate(spec.model_dump(mode="json")).trial_config() == config


def test_a_sweep_without_a_recipe_is_the_one_that_it_was(tmp_path: Path) -> None:
    """So that stored sweeps go on: the identity mentions only what is given."""
    training = loaded(tmp_path, "epochs: 3").identity()["training"]
    assert set(training) == {
        *("tune", "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay"),
        *("dropout", "label_smoothing"),
    }
    assert "recipe" not in loaded(tmp_path, "epochs: 3").trial_config().as_mapping()


def test_a_recipe_is_part_of_what_a_sweep_is(tmp_path: Path) -> None:
    plain, averaged = (loaded(tmp_path, text).identity() for text in ("epochs: 3", "ema: 0.9"))
    assert plain != averaged


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ("augment: flipp", "Did you mean 'flip'"),
        ("augment: [{flip: yes}]", "neither a name nor a name with a number"),
        ("schedule: cosin", "'one_cycle'"),
        ("mixup: 0.2, class_weights: balanced", "cannot be used with mixup"),
        ("class_weights: [1.0, 0.0]", "above 0"),
        ("momentum: 0.5", "momentum is for sgd"),
        ("patience: -1", "at least 0"),
        ("best: 1", "best"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_reason(
    tmp_path: Path, training: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        loaded(tmp_path, training)


def test_momentum_is_taken_where_sgd_may_be_sampled(tmp_path: Path) -> None:
    text = SWEEP.replace(
        "space: smoke", "space: {optimizer: {type: choice, values: [adamw, sgd]}}"
    )
    (tmp_path / "s.yaml").write_text(text % "momentum: 0.5")
    assert load_sweep(tmp_path / "s.yaml").trial_config().recipe.momentum == 0.5
