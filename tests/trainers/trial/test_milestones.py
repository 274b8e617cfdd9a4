"""What is measured under way: of the weights as they would be packed, and without a trace."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.evaluators.config import AttackConfig
from trainers.files.checkpoints import load_checkpoint
from trainers.files.trial_folder import CHECKPOINT_NAME
from trainers.training.finetune import FineTuning
from trainers.trial.milestones import milestone_values
from trainers.trial.run import TrialRun

Config = Callable[..., TrialConfig]
ATTACKS = {
    "robust_accuracy": AttackConfig("pgd", 0.05, steps=2, samples=15),
    "robust_accuracy_l2": AttackConfig("apgd", 0.5, norm="l2", samples=15),
    "deepfool_perturbation": AttackConfig("deepfool", samples=4),
}
# Of the answers to the images, whatever the attacks; three classes have no five largest logits.
ANSWERS = {"accuracy", "balanced_accuracy", "macro_f1", "nll", "ece"}
WAYS = [
    {"bits": 32, "fc_bits": 32},
    {"bits": 32, "fc_bits": 2},
    {"bits": 2, "fc_bits": 4, "quantizer": "kmeans"},
    {"bits": 3, "fc_bits": 3, "tune": "last_blocks:1"},
    {"bits": 2, "fc_bits": 2, "qat": "lsq"},
    {"bits": 2, "fc_bits": 2, "qat": "absmax", "tune": "last_blocks:1"},
]


def trained(config: TrialConfig, data: ImageData, folder: Path, milestones=()) -> TrialRun:
    run = TrialRun(config, data, folder, milestones=milestones)
    while not run.finished:
        run.advance(to_epoch=2**31, seconds=60)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_after_the_last_epoch_the_accuracy_is_that_of_the_packed_network(
    bands: ImageData, make_config: Config, tmp_path: Path, way: dict[str, object]
) -> None:
    run = trained(make_config(learning_rate=0.003, **way), bands, tmp_path, milestones=(3,))
    found = run.at_milestone(3)
    assert set(found) == {f"milestone_{name}" for name in (*ANSWERS, "s")}
    values = run.measure().values
    assert {name: values[name] for name in ANSWERS} == pytest.approx(
        {name: found[f"milestone_{name}"] for name in ANSWERS}, rel=1e-5
    )
    assert values["accuracy"] == found["milestone_accuracy"]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_training_goes_on_bit_for_bit_as_if_nothing_had_been_measured(
    bands: ImageData, make_config: Config, tmp_path: Path, way: dict[str, object]
) -> None:
    config = make_config(dropout=0.2, epochs=2, attacks=ATTACKS, **way)
    kept = []
    for milestones in ((), (1,)):
        run = trained(config, bands, tmp_path, milestones)
        run.checkpoint()
        # What training changes: weights, statistics, learned steps and the optimizer's state.
        kept.append(load_checkpoint(tmp_path / CHECKPOINT_NAME)[0])
        (tmp_path / CHECKPOINT_NAME).unlink()
    assert kept[0].keys() == kept[1].keys()
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in kept[0].items())
    names = {f"milestone_{name}" for name in (*ANSWERS, *ATTACKS, "s")}
    assert set(run.at_milestone(1)) == names
    assert all(np.isfinite(value) for value in run.at_milestone(1).values())


@pytest.mark.slow
def test_measuring_leaves_modes_gradients_and_the_global_generator_alone(
    bands: ImageData, make_config: Config
) -> None:
    config = make_config(fc_bits=2, tune="last_blocks:1", attacks=ATTACKS)
    training = FineTuning(config, bands, device=torch.device("cpu"))
    training.run_epoch()

    def state():
        parameters = dict(training.network.named_parameters())
        return (
            {name: module.training for name, module in training.network.named_modules()},
            {name: each.requires_grad for name, each in parameters.items()},
            {n: p.grad.sum().item() for n, p in parameters.items() if p.grad is not None},
            {name: each.sum().item() for name, each in training.network.state_dict().items()},
            torch.random.get_rng_state().sum().item(),
        )

    before = state()
    first = milestone_values(training, bands)
    assert state() == before
    assert milestone_values(training, bands) == first


def test_what_is_measured_is_the_quantized_network(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    found = {
        bits: trained(
            make_config(fc_bits=bits, bits=bits, learning_rate=0.01, epochs=8),
            bands,
            tmp_path / str(bits),
            milestones=(8,),
        ).at_milestone(8)["milestone_accuracy"]
        for bits in (2, 32)
    }
    assert found[2] < found[32]


def test_a_sample_is_measured_of_many_images(
    bands: ImageData, make_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.trial.milestones._IMAGES", 9)
    for way in WAYS[:3]:
        training = FineTuning(make_config(**way), bands, device=torch.device("cpu"))
        training.run_epoch()
        assert (milestone_values(training, bands)["milestone_accuracy"] * 9) % 1 == 0


@pytest.mark.parametrize("way", [*WAYS[:2], {"bits": 2, "fc_bits": 32}])
def test_of_a_network_that_answers_with_nan_nothing_is_right(
    bands: ImageData, make_config: Config, way: dict[str, object]
) -> None:
    training = FineTuning(make_config(attacks=ATTACKS, **way), bands, device=torch.device("cpu"))
    with torch.no_grad():
        training.network.head[-1].bias.fill_(torch.nan)
    assert milestone_values(training, bands) == {"milestone_accuracy": 0.0}


@pytest.mark.parametrize("keeps", [False, True])
def test_a_milestone_is_kept_on_disk_where_a_stopped_trial_may_go_on(
    make_config: Config, bands: ImageData, tmp_path: Path, keeps: bool
) -> None:
    run = TrialRun(make_config(epochs=3), bands, tmp_path, milestones=(2,))
    run.keeps_milestones = keeps
    run.checkpoint_every_s = 1e9  # on a busy machine an epoch takes long enough for one
    run.advance(to_epoch=1, seconds=60.0)
    assert not (tmp_path / CHECKPOINT_NAME).exists()
    run.advance(to_epoch=2, seconds=60.0)
    assert (tmp_path / CHECKPOINT_NAME).exists() == keeps
    again = TrialRun(make_config(epochs=3), bands, tmp_path, milestones=(2,))
    assert again.epoch == (2 if keeps else 0)


@pytest.mark.slow
def test_a_resumed_trial_tells_again_what_it_measured_at_its_milestones(
    bands: ImageData, make_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(fc_bits=2, attacks=ATTACKS, epochs=4)
    first = TrialRun(config, bands, tmp_path, milestones=(1, 3))
    first.advance(to_epoch=2, seconds=60)
    first.checkpoint()
    second = TrialRun(config, bands, tmp_path, milestones=(1, 3))
    assert second.at_milestone(1) == first.at_milestone(1) != {}
    assert second.at_milestone(2) == {}
    monkeypatch.setattr(
        "trainers.trial.run.milestone_values", lambda *_: {"milestone_accuracy": 9.0}
    )
    assert [report.epoch for report in second.advance(to_epoch=3, seconds=60)] == [1, 2, 3]
    assert second.at_milestone(3)["milestone_accuracy"] == 9.0
    assert second.at_milestone(1) == first.at_milestone(1)
