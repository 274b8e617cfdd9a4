"""The trace of the Hessian of weights, and the sensitivity that follows from it."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from trainers.networks.network import build_network
from trainers.quantization.config import QuantizationConfig
from trainers.quantization.fisher import fisher_information
from trainers.quantization.hessian import hessian_sensitivity, hessian_traces
from trainers.quantization.sensitivity import measure_sensitivity

CONFIG = QuantizationConfig(quantizer="affine", step="absmax")


def tiny() -> nn.Module:
    torch.manual_seed(0)
    first = nn.Conv2d(1, 2, 3)
    # So that some inputs of the ReLU are positive, and some are not.
    nn.init.constant_(first.get_parameter("bias"), 0.2)
    return nn.Sequential(first, nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).eval()


def exact_trace(network: nn.Module, images: Tensor, name: str) -> float:
    """The trace of the whole matrix of second derivatives."""
    before = network(images).log_softmax(1).detach()
    plain = network.get_parameter(name).detach()

    def change(weight: Tensor) -> Tensor:
        after = functional_call(network, {name: weight.view_as(plain)}, (images,)).log_softmax(1)
        return functional.kl_div(after, before, reduction="batchmean", log_target=True)

    found = torch.autograd.functional.hessian(  # type: ignore[no-untyped-call]
        change, plain.flatten()
    )
    assert isinstance(found, Tensor)
    return float(found.trace())


@pytest.mark.parametrize("name", ["0.weight", "4.weight"])
def test_traces_are_those_of_the_whole_hessian(name: str) -> None:
    network, images = tiny(), torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    batches = [images[:16], images[16:]]
    found = hessian_traces(network, batches, ["0.weight", "4.weight"], draws=2000)
    assert found[name] > 0.001
    assert found[name] == pytest.approx(exact_trace(network, images, name), rel=0.05)


def test_the_diagonal_is_the_fisher_information() -> None:
    network, image = tiny(), torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    information = fisher_information(network, [image.repeat(3000, 1, 1, 1)], ["4.weight"])
    expected = float(information["4.weight"].sum())
    assert exact_trace(network, image, "4.weight") == pytest.approx(expected, rel=0.1)


def test_the_seed_decides_the_traces() -> None:
    network, images = tiny(), [torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(1))]
    first, again, other = (
        hessian_traces(network, images, ["0.weight"], draws=2, seed=seed) for seed in (3, 3, 4)
    )
    assert first == again != other


@pytest.mark.slow
def test_it_covers_the_layers_of_a_network_and_leaves_it_as_it_was() -> None:
    network = build_network("digitnet", weights="bundled", widths=(), classes=10).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = [torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))]
    found = hessian_sensitivity(network, CONFIG, images, bits=(2, 8))
    direct = measure_sensitivity(network, CONFIG, images, bits=(2, 8))
    named = [(each.name, each.number, each.shapes) for each in found]
    assert named == [(each.name, each.number, each.shapes) for each in direct]
    assert all(each.alone[2].divergence > each.alone[8].divergence for each in found)
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
