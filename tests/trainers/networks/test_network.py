import copy
import json
import pickle

import pytest
import torch
from torch import nn

from trainers.networks.backbones import build_backbone
from trainers.networks.network import (
    Network,
    NetworkSpec,
    assemble_network,
    build_network,
    network_from_spec,
    tuned_blocks,
)


def small(**changes: object) -> Network:
    arguments = {"weights": "scratch", "widths": (8,), "classes": 3, **changes}
    return build_network("digitnet", **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def normed() -> Network:
    """A network with batch norms, at a size that is quick."""
    backbone = build_backbone("mobilenet_v3_small", "scratch", image_size=32)
    return assemble_network(backbone, (), 3)


def test_logits_are_the_head_of_the_features_of_the_prepared_pixels() -> None:
    network = small().eval()
    pixels = torch.rand(2, 3, 20, 20)
    vectors = network.feature_vectors(pixels)
    assert vectors.shape == (2, 576)
    assert torch.equal(vectors, network.features(network.prepare(pixels)))
    assert torch.equal(network(pixels), network.head(vectors))
    assert network(pixels).shape == (2, 3)


def test_convolutions_lie_channels_last_and_compute_what_they_did() -> None:
    network = small().double()
    kernels = [each.weight for each in network.modules() if isinstance(each, nn.Conv2d)]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    pixels = torch.rand(2, 1, 28, 28, dtype=torch.float64)
    expected = network(pixels)
    network.to(memory_format=torch.contiguous_format)
    # The same sums in another order: some 1e-16 in float64.
    torch.testing.assert_close(network(pixels), expected, rtol=0, atol=1e-12)


def test_a_spec_survives_json() -> None:
    spec = small(widths=(8, 4)).spec
    assert NetworkSpec.from_mapping(json.loads(json.dumps(spec.as_mapping()))) == spec


def test_the_state_is_that_of_features_and_head_alone() -> None:
    kinds = {key.partition(".")[0] for key in small().state_dict()}
    assert kinds == {"features", "head"}


def test_a_network_rebuilt_from_its_spec_takes_its_weights() -> None:
    network = small(seed=5).eval()
    spec = NetworkSpec.from_mapping(json.loads(json.dumps(network.spec.as_mapping())))
    other = network_from_spec(spec).eval()
    pixels = torch.rand(2, 1, 28, 28)
    assert not torch.equal(other(pixels), network(pixels))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(pixels), network(pixels))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digitnet", "vgg16", "densenet121"])
def test_a_network_can_be_sized_without_memory(name: str) -> None:
    with torch.device("meta"):
        info = build_backbone(name, "scratch")
        spec = NetworkSpec(name, info.input, info.n_features, info.reference_widths, 10)
        network = network_from_spec(spec)
        logits = network.eval()(torch.empty(2, 1, 40, 40))
    assert logits.shape == (2, 10)
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}


def test_the_same_seed_gives_the_same_network_and_touches_no_global_state() -> None:
    state = torch.random.get_rng_state()
    first, second, third = small(seed=1), small(seed=1), small(seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key])
    assert not torch.equal(first.features[0].weight, third.features[0].weight)
    assert not torch.equal(first.head[0].weight, third.head[0].weight)


@pytest.mark.parametrize("tune", ["head", "last_blocks:1", "last_blocks:3", "all"])
def test_only_what_is_tuned_needs_a_gradient(normed: Network, tune: str) -> None:
    tuned = normed.set_trainable(tune)
    assert {id(p) for p in tuned} == {id(p) for p in normed.parameters() if p.requires_grad}
    n_blocks = tuned_blocks(tune, len(normed.blocks))
    chosen = [*normed.blocks[len(normed.blocks) - n_blocks :], normed.head]
    assert {id(p) for p in tuned} == {id(p) for part in chosen for p in part.parameters()}


@pytest.mark.parametrize("tune", ["head", "last_blocks:2"])
def test_statistics_of_frozen_batch_norms_never_move(normed: Network, tune: str) -> None:
    network = copy.deepcopy(normed)
    network.set_trainable(tune)
    before = {key: tensor.clone() for key, tensor in network.features.state_dict().items()}
    network.eval()
    network.train()
    network(torch.rand(4, 3, 32, 32))
    after = network.features.state_dict()
    moved = {key for key, tensor in after.items() if not torch.equal(tensor, before[key])}
    tuned = {id(module) for block in network._last(2) for module in block.modules()}
    norms = {
        f"{name}.{key}"
        for name, module in network.features.named_modules()
        if isinstance(module, nn.BatchNorm2d) and id(module) in tuned and tune != "head"
        for key in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert moved == norms
    assert network.head.training


def test_tuning_again_forgets_what_was_tuned_before(normed: Network) -> None:
    network = copy.deepcopy(normed)
    everything = len(network.set_trainable("all"))
    assert len(network.set_trainable("head")) == len(list(network.head.parameters()))
    assert len(network.set_trainable("all")) == everything
    network.train()
    assert all(module.training for module in network.modules())


def test_tuning_does_not_switch_between_training_and_evaluation(normed: Network) -> None:
    network = copy.deepcopy(normed).eval()
    network.set_trainable("last_blocks:1")
    assert not any(module.training for module in network.modules())
    network.train()
    assert network.blocks[-1].training
    assert not network.blocks[-2].training


@pytest.mark.parametrize("tune", ["", "heads", "last_blocks", "last_blocks:x", "last_blocks:²"])
def test_an_unknown_tune_is_refused_with_the_known_ones(tune: str) -> None:
    with pytest.raises(ValueError, match="last_blocks:N"):
        small().set_trainable(tune)


@pytest.mark.parametrize("tune", ["last_blocks:0", "last_blocks:4"])
def test_more_blocks_than_there_are_is_refused_with_their_number(tune: str) -> None:
    with pytest.raises(ValueError, match="3 blocks"):
        small().set_trainable(tune)


def test_a_copy_tunes_its_own_blocks() -> None:
    original = small()
    for other in (copy.deepcopy(original), pickle.loads(pickle.dumps(original))):  # noqa: S301
        other.set_trainable("last_blocks:1")
        assert sum(p.requires_grad for p in other.features.parameters()) == 4
        assert all(p.requires_grad for p in original.parameters())
