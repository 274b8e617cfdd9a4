"""What every quantizer promises, ours and a user's own."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainers.artifact import load_artifact, predict_bytes, write_artifact
from trainers.networks.network import Network, build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import dequantize, lowest_code, top_code
from trainers.quantization.weights import quantize_weight

_CLASSES = ("no", "yes")


class QuantizerContract:
    """Subclass it, and give the fixture ``name`` as a sweep file would, resolved."""

    @pytest.fixture
    def name(self) -> str:
        """Give the name of the quantizer."""
        raise NotImplementedError("Give the name of the quantizer to be tested.")

    @pytest.mark.parametrize("bits", [2, 4, 8])
    @pytest.mark.parametrize("scope", ["channel", "layer"])
    def test_codes_have_the_bits_and_values_are_levels(
        self, name: str, bits: int, scope: str
    ) -> None:
        weight = _weights((8, 3, 5, 5))
        found = quantize_weight(weight, bits, scheme=name, scope=scope)
        assert found.codes.shape == weight.shape
        assert lowest_code(bits) <= int(found.codes.min())
        assert int(found.codes.max()) <= top_code(bits)
        assert dequantize(found).isfinite().all()

    def test_the_same_weights_get_the_same_codes(self, name: str) -> None:
        first, second = (quantize_weight(_weights((8, 90)), 4, scheme=name) for _ in range(2))
        assert first.codes.equal(second.codes)
        assert dequantize(first).equal(dequantize(second))

    def test_a_group_does_not_depend_on_the_others(self, name: str) -> None:
        weight = _weights((8, 90))
        whole = dequantize(quantize_weight(weight, 4, scheme=name))
        part = dequantize(quantize_weight(weight[:3], 4, scheme=name))
        torch.testing.assert_close(whole[:3], part)

    def test_weights_are_left_as_they_were(self, name: str) -> None:
        weight = _weights((8, 90))
        before = weight.clone()
        quantize_weight(weight, 4, scheme=name)
        assert weight.equal(before)

    @pytest.mark.parametrize("values", [[0.0, 0.0], [1.0, 1.0], [-3.0, 0.0], [1e-3, 2e3]])
    def test_groups_without_variety_are_finite(self, name: str, values: list[float]) -> None:
        weight = torch.tensor([values * 8])
        assert dequantize(quantize_weight(weight, 2, scheme=name)).isfinite().all()

    def test_what_is_read_back_is_what_was_packed(self, name: str, tmp_path: Path) -> None:
        network, path = _network(), tmp_path / "model.safetensors"
        config = QuantizationConfig(bits=3, fc_bits=4, quantizer=name)
        written = write_artifact(network, path, quantization=config, classes=_CLASSES)
        state = load_artifact(path).state_dict()
        assert written.bytes == predict_bytes(network.spec, config, _CLASSES)
        for key, weight in quantize_network(network, config).items():
            assert state[key].equal(dequantize(weight))


class PrunableContract(QuantizerContract):
    """The promises of a quantizer that goes with pruning, as code of a user's own always does."""

    @pytest.mark.parametrize("scope", ["channel", "layer"])
    def test_weights_of_zero_stay_zero(self, name: str, scope: str) -> None:
        weight = _weights((8, 90))
        weight[:, ::3] = 0.0
        found = dequantize(quantize_weight(weight, 3, scheme=name, scope=scope))
        assert (found[:, ::3] == 0).all()


def _weights(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _network() -> Network:
    return build_network("digitnet", weights="scratch", widths=(4,), classes=len(_CLASSES))
