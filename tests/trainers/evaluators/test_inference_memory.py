"""Peak memory, by hand."""

from torch import Tensor, nn

from trainers.evaluators.inference_memory import peak_activation_bytes
from trainers.networks.network import network_from_spec
from trainers.networks.spec import spec_of


class Shortcut(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.second(self.first(pixels)) + pixels


def test_an_input_is_held_while_its_output_is_made() -> None:
    """The image (100 pixels) is held by the caller; of two layers of 300, both are there once."""
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    assert peak_activation_bytes(network, (1, 10, 10)) == 4 * (100 + 300 + 300)


def test_what_is_changed_in_place_counts_once() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(inplace=True))
    assert peak_activation_bytes(network, (1, 10, 10)) == 4 * (100 + 300)


def test_a_shortcut_is_held_while_the_block_is_computed() -> None:
    """The image, the outputs of the two convolutions; then the second output and the sum."""
    assert peak_activation_bytes(Shortcut(), (2, 10, 10)) == 4 * 3 * 200


def test_larger_inputs_of_a_network_need_more() -> None:
    sizes = {}
    for side in (32, 64):
        spec = spec_of("cifar_resnet20", (), 10, image_size=side)
        sizes[side] = peak_activation_bytes(network_from_spec(spec), (3, 32, 32))
    assert 3 < sizes[64] / sizes[32] < 4
