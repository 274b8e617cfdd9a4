"""Trainings with methods of other papers: resumed to the bit, contracted, taught, attacked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainers.trainings import finished, same, state
from trainers.artifact import load_artifact
from trainers.config import TrialConfig, teacher_of
from trainers.data import ImageData
from trainers.methods import MethodsConfig
from trainers.methods.reparametrizing import is_reparametrized
from trainers.pruning import PruningConfig
from trainers.stages.cache import StageCache
from trainers.training.finetune import FineTuning
from trainers.training.fused import fuse_key
from trainers.training.step_loss import StepLoss
from trainers.trial.milestones import milestone_values
from trainers.trial.run import TrialRun
from trainers.trial.teaching import taught

Config = Callable[..., TrialConfig]
CPU = torch.device("cpu")
KINDS: dict[str, dict[str, Any]] = {
    "distilled head": {"methods": MethodsConfig(distillation=0.5), "dropout": 0.2},
    "distilled network": {"methods": MethodsConfig(distillation=0.9), "tune": "all"},
    "fgsm": {
        "methods": MethodsConfig(adversarial="fgsm", adversarial_share=0.5),
        "tune": "last_blocks:1",
    },
    "pgd on a head": {"methods": MethodsConfig(adversarial="pgd", adversarial_steps=2)},
    "l2sp": {"methods": MethodsConfig(l2sp=0.1), "weights": "bundled", "tune": "all"},
    "halo": {
        "methods": MethodsConfig(halo=1e-4, halo_shrinkage=1e-4),
        "tune": "all",
        "pruning": PruningConfig(sparsity=0.5),
    },
    "expanded head": {"methods": MethodsConfig(expand="head", expand_rate=2)},
    "expanded network": {
        "methods": MethodsConfig(expand="all", expand_rate=2),
        "weights": "bundled",
        "tune": "all",
        "dropout": 0.2,
    },
    "adapters": {"methods": MethodsConfig(adapter_rank=2), "weights": "bundled"},
    "window": {
        "methods": MethodsConfig(training_window=0.5),
        "tune": "all",
        "backbone": "cifar_resnet20",
        "image_size": 16,
    },
    "adjoined": {"methods": MethodsConfig(adjoined=True), "widths": (8, 4), "dropout": 0.2},
    "adjoined network": {"methods": MethodsConfig(adjoined=True), "widths": (8, 4), "tune": "all"},
}
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def begun(config: TrialConfig, data: ImageData) -> FineTuning:
    def teach() -> Any:
        return taught(config, data, device=CPU, cache=None)

    return FineTuning(config, data, device=CPU, teach=teach)


@pytest.mark.slow
@kinds
def test_a_resumed_training_ends_with_the_same_weights(
    bands: ImageData, make_config: Config, tmp_path: Path, kind: str
) -> None:
    config = make_config(epochs=2, **KINDS[kind])
    whole = finished(begun(config, bands))
    first = begun(config, bands)
    first.run_epoch()
    first.save(tmp_path / "c")
    second = begun(config, bands)
    before = state(second)
    second.load(tmp_path / "c")
    assert same(state(second), state(first))
    torch.manual_seed(99)  # whatever else happens in the process
    assert same(state(finished(second)), state(whole))
    assert not same(before, state(whole))
    whole.finish()
    second.finish()
    assert same(state(second), state(whole))
    assert not is_reparametrized(whole.network)


@pytest.mark.slow
@kinds
def test_the_packed_network_answers_as_the_trained_one(
    bands: ImageData, make_config: Config, tmp_path: Path, kind: str
) -> None:
    """Also after a contraction, and with the names that the spec's network has."""
    config = make_config(epochs=1, **KINDS[kind])
    run = TrialRun(config, bands, tmp_path)
    run.advance(to_epoch=1, seconds=60)
    images = torch.from_numpy(bands.val_images.copy()).float() / 255
    with torch.inference_mode():
        trained = run.training.network.eval()(images)
    milestone = milestone_values(run.training, bands)
    measured = run.measure()
    with torch.inference_mode():
        packed = load_artifact(measured.artifact.path)(images)
    assert torch.allclose(packed, trained, atol=1e-4)
    assert milestone["milestone_accuracy"] == measured.values["accuracy"]


@kinds
def test_methods_are_trained_alone(bands: ImageData, make_config: Config, kind: str) -> None:
    assert fuse_key(begun(make_config(epochs=1, **KINDS[kind]), bands)) is None


def test_features_are_kept_where_all_that_computes_takes_them(
    bands: ImageData, make_config: Config
) -> None:
    on_features = {
        kind: begun(make_config(epochs=1, **KINDS[kind]), bands).on_features
        for kind in ("distilled head", "pgd on a head", "expanded head", "adapters", "adjoined")
    }
    assert on_features == {
        "distilled head": True,
        "pgd on a head": False,
        "expanded head": True,
        "adapters": False,
        "adjoined": True,
    }
    pruned = make_config(
        epochs=1, methods=MethodsConfig(distillation=0.5), pruning=PruningConfig(sparsity=0.5)
    )
    assert not begun(pruned, bands).on_features  # the teacher's features are others


def test_trials_share_the_training_of_the_network_that_teaches(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    cache = StageCache(str(tmp_path / "cache"), 1e9)
    config = make_config(methods=MethodsConfig(distillation=0.5), epochs=2)
    reference = TrialRun(teacher_of(config), bands, tmp_path / "reference", cache=cache)
    reference.advance(to_epoch=2, seconds=60)
    reference.measure()
    own = taught(config, bands, device=CPU, cache=None)
    shared = taught(config, bands, device=CPU, cache=cache)
    for name, tensor in reference.training.network.state_dict().items():
        assert torch.equal(shared.state_dict()[name], tensor)
        assert torch.equal(own.state_dict()[name], tensor)


@pytest.mark.slow
def test_the_student_moves_towards_the_network_that_teaches(
    bands: ImageData, make_config: Config
) -> None:
    """With a share of 1 no label counts: the student becomes its teacher."""

    def apart(share: float) -> float:
        methods = MethodsConfig(distillation=share, temperature=4.0)
        config = make_config(methods=methods, epochs=12, learning_rate=1e-2, weights="bundled")
        student = finished(begun(config, bands)).network.eval()
        teacher = taught(config, bands, device=CPU, cache=None)
        images = torch.from_numpy(bands.train_images.copy()).float() / 255
        with torch.inference_mode():
            first, second = (network(images).softmax(1) for network in (student, teacher))
        return float((first - second).abs().mean())

    assert apart(1.0) < apart(0.0)


def test_distillation_without_a_teacher_is_refused(bands: ImageData, make_config: Config) -> None:
    config = make_config(methods=MethodsConfig(distillation=0.5))
    with pytest.raises(ValueError, match="needs the network that teaches"):
        FineTuning(config, bands, device=CPU)


@pytest.mark.slow
def test_l2sp_holds_weights_where_they_were(bands: ImageData, make_config: Config) -> None:
    def moved(alpha: float) -> float:
        methods = MethodsConfig(l2sp=alpha, l2sp_head=0.0)
        training = begun(make_config(weights="bundled", tune="all", methods=methods), bands)
        before = [each.detach().clone() for each in training.network.features.parameters()]
        after = finished(training).network.features.parameters()
        return sum(float((a - b).detach().norm()) for a, b in zip(after, before, strict=True))

    assert moved(100.0) < 0.5 * moved(1e-9)


def test_what_halo_learns_is_trained_and_kept(
    bands: ImageData, make_config: Config, tmp_path: Path
) -> None:
    methods = MethodsConfig(halo=1e-2, halo_shrinkage=1e-2)
    training = begun(make_config(tune="all", methods=methods, epochs=1), bands)
    step_loss: StepLoss = training._step_loss
    assert all(bool((each == 1).all()) for each in step_loss.parameters)
    training.run_epoch()
    assert all(bool((each != 1).any()) for each in step_loss.parameters)
    assert len(step_loss.parameters) == 6


def test_adapters_leave_a_frozen_kernel_but_for_its_centre(
    bands: ImageData, make_config: Config
) -> None:
    training = begun(make_config(weights="bundled", methods=MethodsConfig(adapter_rank=2)), bands)
    before = {
        name.replace("parametrizations.weight.original", "weight"): tensor.clone()
        for name, tensor in training.backbone.features.state_dict().items()
    }
    finished(training).finish()
    for name, tensor in training.network.features.state_dict().items():
        different = (tensor - before[name]).abs() > 0
        if name.endswith("bias"):
            assert not different.any()
        else:
            assert different[:, :, 1, 1].any()
            different[:, :, 1, 1] = False
            assert not different.any()


def test_a_sized_head_is_cut_out_of_the_full_one(bands: ImageData, make_config: Config) -> None:
    training = begun(make_config(**KINDS["adjoined"]), bands)
    names = dict(training.network.head.named_parameters())
    full = names["0.parametrizations.weight.original"]
    assert tuple(full.shape) == (256, 576)
    before = full.detach().clone()
    finished(training)
    assert bool((full[8:] != before[8:]).any())  # units that the sized head lacks learn too
    part = full.detach()[:8].clone()
    training.finish()
    assert torch.equal(training.network.head[0].weight, part)
