"""The reuse judge's measurements, against mathematics and against whole networks."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trainers.data.image_data import ImageData
from trainers.networks.conv_layers import conv_layers, transplant
from trainers.networks.network import Network
from trainers.reuse.arms import Budget, build_network, few_per_class, scratch_state
from trainers.reuse.judging import Judge, Judged
from trainers.reuse.kernels import kernel_distance, kernel_rmse
from trainers.reuse.replacing import Replacements
from trainers.reuse.sources import OtherArchitectureError, matched
from trainers.stages.cache import StageCache

RESNET = "cifar_resnet20"


def images(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8), np.arange(count) % 2


def tiny() -> ImageData:
    return ImageData("tiny", ("a", "b"), *images(8), *images(6, 1), *images(4, 2))


def network(seed: int) -> Network:
    found = build_network(
        RESNET, scratch_state(RESNET, seed), 2, budget=Budget(image_size=8), seed=0
    )
    for norm in found.features.modules():
        if isinstance(norm, nn.BatchNorm2d):
            torch.manual_seed(seed)
            nn.init.uniform_(norm.weight)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return found.eval()


def test_the_rmse_is_that_of_the_definition() -> None:
    one, other = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    assert kernel_rmse(one, other, layer="c") == pytest.approx((25 / 2) ** 0.5)
    assert kernel_rmse(one, one, layer="c") == 0


def test_an_rmse_of_other_shapes_names_the_layer_and_the_numbers() -> None:
    with pytest.raises(ValueError, match=r"layer conv7.*\(2, 3\) \(6 numbers\).*\(3, 3\) \(9 num"):
        kernel_rmse(torch.zeros(2, 3), torch.zeros(3, 3), layer="conv7")


def test_unrelated_kernels_are_at_the_null_and_equal_ones_are_at_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other, third = (torch.randn(50, 50, generator=generator) for _ in range(3))
    apart = kernel_distance(one, other, third, layer="c")
    assert apart.ratio == pytest.approx(1, abs=0.05)
    # sqrt(var + var) of two normal kernels
    assert apart.null_permuted == pytest.approx(2**0.5, abs=0.05)
    assert apart.null_seeded == pytest.approx(2**0.5, abs=0.05)
    assert kernel_distance(one, one, third, layer="c").ratio == 0


def test_every_tensor_of_a_backbone_belongs_to_one_layer() -> None:
    features = network(0).features
    names = [name for layer in conv_layers(features) for name in layer.tensors]
    state = {n for n in features.state_dict() if not n.endswith("num_batches_tracked")}
    assert sorted(names) == sorted(state)


@pytest.mark.slow
def test_replacements_on_shared_prefixes_equal_whole_networks() -> None:
    target, source = network(1), network(2).features.state_dict()
    pixels, labels = images(16, 3)
    replacements = Replacements(target, source, pixels, labels)
    single, prefixes = replacements.single(), replacements.prefixes()
    layers = conv_layers(target.features)
    assert set(prefixes) == {layer.name for layer in layers}
    wanted = [({**layer.groups, "all": layer.tensors}, layer.name) for layer in layers]
    for groups, layer in wanted[::9]:
        for group, names in groups.items():
            assert single[layer, group] == whole(target, source, names, pixels, labels)
    for number, layer in list(enumerate(layers))[::9]:
        names = [name for each in layers[: number + 1] for name in each.tensors]
        assert prefixes[layer.name] == whole(target, source, names, pixels, labels)
    assert len(set(single.values())) > 3  # else nothing was told apart


def whole(target: Network, source: dict, names: object, pixels: object, labels: object) -> float:
    changed = copy.deepcopy(target)
    transplant(changed.features, source, list(names))
    with torch.inference_mode():
        logits = changed(torch.from_numpy(pixels).float() / 255)
    return float((logits.argmax(1) == torch.from_numpy(labels)).double().mean())


@pytest.mark.slow
def test_the_target_is_not_modified_by_a_recalibration() -> None:
    target = network(1)
    before = copy.deepcopy(target.state_dict())
    pixels, labels = images(4)
    Replacements(
        target, network(2).features.state_dict(), pixels, labels, calibration=pixels
    ).single()
    assert all(torch.equal(before[name], t) for name, t in target.state_dict().items())


def test_networks_of_other_architectures_are_laid_beside_each_other() -> None:
    with pytest.raises(OtherArchitectureError) as caught:
        matched(RESNET, scratch_state(RESNET, 0), scratch_state("cifar_resnet32", 0))
    by_name = {each.name: each for each in caught.value.matches}
    assert by_name["conv1.weight"].fits
    assert by_name["layer1.3.conv1.weight"].source is None
    assert by_name["layer1.3.conv1.weight"].target == (16, 16, 3, 3)


@pytest.mark.slow
def test_a_network_judged_by_itself_loses_nothing_and_an_interrupted_judgement_goes_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.pth"
    torch.save(scratch_state(RESNET, 3), path)

    def judged() -> object:
        return Judge(
            RESNET,
            str(path),
            str(path),
            tiny(),
            budget=Budget(epochs=1, image_size=8),
            cache=StageCache(str(tmp_path / "cache"), 1e9),
        ).run(1)

    first = judged()
    (seed,) = first.seeds
    assert seed.reuse == seed.own
    assert set(seed.single["replace"].values()) == {seed.own}
    assert {each.rmse for each in first.distances.values()} == {0.0}
    entries = sorted((tmp_path / "cache").glob("reuse-*.safetensors"))
    # Own and reuse are one training here; random, tuned, scratch, and what was replaced.
    assert len(entries) == 5
    # Nothing is computed again: a cached training is read, whatever would be computed now.
    written = [each.stat().st_ino for each in entries]
    assert judged() == first
    assert [each.stat().st_ino for each in entries] == written


def test_few_images_of_each_class_are_kept() -> None:
    kept = few_per_class(tiny(), 2, seed=0)
    assert sorted(kept.train_labels) == [0, 0, 1, 1]
    assert len(kept.val_labels) == 6


@pytest.mark.slow
def test_prefixes_are_trained_only_if_asked_for() -> None:
    def judged(*, prefixes: bool) -> Judged:
        weights = (RESNET, "scratch", "scratch")
        how = {"budget": Budget(epochs=1, image_size=8), "modes": ("tune",)}
        return Judge(*weights, tiny(), prefixes=prefixes, **how).run(1)

    (without,), (asked,) = (judged(prefixes=p).seeds for p in (False, True))
    assert without.prefixes == {"tune": {}}
    assert without.single == asked.single
    assert len(asked.prefixes["tune"]) == len(asked.single["tune"]) - 1  # one without a name


@pytest.mark.slow
def test_frozen_arms_differ_in_their_kernels_alone(tmp_path: Path) -> None:
    cache = StageCache(str(tmp_path), 1e9)
    how = {"budget": Budget(epochs=1, image_size=8), "cache": cache}
    weights = {"source": scratch_state(RESNET, 1), "target": scratch_state(RESNET, 2)}
    for name, state in weights.items():
        torch.save(state, tmp_path / f"{name}.pth")
    Judge(RESNET, *(str(tmp_path / f"{name}.pth") for name in weights), tiny(), **how).run(1)
    kernels = []
    for entry in tmp_path.glob("reuse-*.safetensors"):
        found = cache.get(entry.stem)
        assert found is not None
        if found[0]:
            kernels.append(found[0]["features.conv1.weight"])

    def kept(kernel: torch.Tensor) -> int:
        return sum(torch.equal(kernel, each) for each in kernels)

    source, target = (state["conv1.weight"] for state in weights.values())
    assert kept(source) == kept(target) == 1  # the source's move in `tuned`, and not in `reuse`
