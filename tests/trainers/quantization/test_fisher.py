"""The Fisher information of weights, and the sensitivity that follows from it."""

import pytest
import torch
from torch import nn

from trainers.networks.network import build_network
from trainers.quantization.config import QuantizationConfig
from trainers.quantization.fisher import fisher_information, fisher_sensitivity
from trainers.quantization.sensitivity import measure_sensitivity

CONFIG = QuantizationConfig(quantizer="affine", step="absmax")


def test_the_information_of_a_linear_layer_is_that_of_a_softmax() -> None:
    layer = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, -0.2], [0.1, 0.4], [-0.3, 0.2]]))
    image = torch.tensor([[1.0, -2.0]])
    found = fisher_information(layer, [image.repeat(3000, 1)], ["weight"])["weight"]
    share = layer(image).softmax(1)[0].detach()
    # d log p_y / d W_kj = ([k = y] - p_k) x_j, whose mean square over y is p_k (1 - p_k) x_j^2.
    expected = (share * (1 - share)).unsqueeze(1) * image.square()
    assert torch.allclose(found, expected, rtol=0.1)
    assert not layer.weight.grad


def test_small_changes_are_rated_as_the_predictions_change() -> None:
    torch.manual_seed(0)
    # With one weight nothing is beside the diagonal.
    layer = nn.Linear(1, 2, bias=False)
    network = nn.Sequential(nn.Flatten(), layer).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0], [0.731]]))
    images = [torch.rand(2000, 1, 1, 1)]
    symmetric = QuantizationConfig(scope="layer", step="mse")
    for bits in (4, 5):
        (guess,) = fisher_sensitivity(network, symmetric, images, bits=(bits,))
        (found,) = measure_sensitivity(network, symmetric, images, bits=(bits,))
        assert guess.alone[bits].divergence == pytest.approx(
            found.alone[bits].divergence, rel=0.15, abs=1e-9
        )


@pytest.mark.slow
def test_it_covers_the_layers_of_a_network_and_leaves_it_as_it_was() -> None:
    network = build_network("digitnet", weights="bundled", widths=(), classes=10).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = [torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))]
    told: list[tuple[int, int]] = []
    found = fisher_sensitivity(
        network, CONFIG, images, bits=(2, 8), progress=lambda *n: told.append(n)
    )
    direct = measure_sensitivity(network, CONFIG, images, bits=(2, 8))
    named = [(each.name, each.number, each.shapes) for each in found]
    assert named == [(each.name, each.number, each.shapes) for each in direct]
    assert all(each.alone[2].divergence > each.alone[8].divergence for each in found)
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    assert told[-1] == (14, 14)
