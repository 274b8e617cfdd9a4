"""A pruning that cannot work is refused with a sentence, before any training."""

from typing import Any

import pytest

from trainers.config import TrialConfig, with_params
from trainers.networks.reuse_config import ReuseConfig
from trainers.pruning import PruningConfig
from trainers.pruning.before_training import BEFORE_TRAINING
from trainers.pruning.config import (
    BEFORE_TRAINING_CRITERIA,
    CHANNEL_CRITERION,
    CRITERIA,
    PRUNING_PARAMETERS,
    check_groups,
)
from trainers.pruning.criteria import ACCUMULATED, SCORES

PLAIN = TrialConfig(backbone="digitnet", weights="scratch")


def test_every_criterion_has_a_score() -> None:
    assert {*SCORES, *BEFORE_TRAINING, CHANNEL_CRITERION} == set(CRITERIA)
    assert tuple(BEFORE_TRAINING) == BEFORE_TRAINING_CRITERIA
    assert ACCUMULATED.keys() <= SCORES.keys()


def test_sampled_settings_replace_the_fixed_ones() -> None:
    params: dict[str, Any] = {"pruning_sparsity": 0.5, "pruning_granularity": "kernel"}
    config = with_params(PLAIN, params, seed=1)
    assert config.pruning == PruningConfig(sparsity=0.5, granularity="kernel")
    assert TrialConfig.from_mapping(config.as_mapping()) == config


def test_an_unpruned_config_is_written_as_before_there_was_pruning() -> None:
    assert "pruning" not in PLAIN.as_mapping()
    assert set(PRUNING_PARAMETERS) == {f"pruning_{name}" for name in PruningConfig.__slots__}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"pruning_sparsity": 1.0}, "0 to 0.999"),
        ({"pruning_criterion": "size"}, "'magnitude' or 'movement'"),
        ({"pruning_sparsity": 0.5, "pruning_criterion": "movement"}, "frozen weights"),
        ({"pruning_sparsity": 0.5, "pruning_schedule": "gradual"}, "frozen convolutions"),
        ({"pruning_sparsity": 0.5, "pruning_criterion": "snip"}, "frozen weights"),
        ({"pruning_sparsity": 0.5, "pruning_criterion": "batch_norm"}, "use 'channel'"),
        ({"pruning_sparsity": 0.5, "pruning_restart": True}, "use 'channel'"),
        (
            {
                "pruning_sparsity": 0.5,
                "pruning_granularity": "channel",
                "pruning_criterion": "batch_norm",
            },
            "digitnet has no batch norms",
        ),
        (
            {
                "tune": "all",
                "pruning_sparsity": 0.5,
                "pruning_criterion": "force",
                "pruning_schedule": "gradual",
            },
            "are pruned before the training",
        ),
        ({"pruning_sparsity": 0.5, "quantizer": "entropy"}, "may drop the level zero"),
    ],
)
def test_what_cannot_work_is_refused(params: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        with_params(PLAIN, params, seed=0)


@pytest.mark.parametrize("criterion", ["movement", "gradient"])
def test_layers_that_a_verdict_freezes_have_nothing_to_judge_them_by(criterion: str) -> None:
    pruning = PruningConfig(sparsity=0.5, criterion=criterion)
    settings: dict[str, Any] = {"backbone": "digitnet", "weights": "bundled", "tune": "all"}
    judged = {"0": "freeze", "2": "tune"}
    with pytest.raises(ValueError, match="the verdict freezes layers; frozen weights"):
        TrialConfig(**settings, pruning=pruning, reuse=ReuseConfig("judged", judged))
    TrialConfig(**settings, pruning=pruning, reuse=ReuseConfig("judged", {"0": "tune"}))


def test_a_layer_that_would_be_empty_is_named_with_its_numbers() -> None:
    shapes = {"features.0.weight": (16, 1, 3, 3), "features.2.weight": (200, 16, 3, 3)}
    pruning = PruningConfig(sparsity=0.98, granularity="filter")
    with pytest.raises(ValueError, match=r"none of the 16 filters of features\.0\.weight"):
        check_groups(pruning, shapes)
    check_groups(PruningConfig(sparsity=0.98, granularity="filter", context="global"), shapes)
    with pytest.raises(ValueError, match="leaves 1 of 20 filters for 2 layers"):
        check_groups(
            PruningConfig(sparsity=0.95, granularity="filter", context="global"),
            {"a": (10, 1, 3, 3), "b": (10, 1, 3, 3)},
        )
