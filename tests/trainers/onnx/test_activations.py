"""A network with few bits of activations as ONNX: rounded by the runtime as it was measured."""

from pathlib import Path

import pytest

from tests.trainers.quantization.test_activations import packed
from trainers.onnx.export import export_onnx

onnx = pytest.importorskip("onnx")


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 4])
def test_the_runtime_rounds_as_torch_does(tmp_path: Path, bits: int) -> None:
    _, path = packed(tmp_path, bits, weight_bits=8)
    info = export_onnx(path, tmp_path / "model.onnx")
    assert info.max_difference <= info.tolerance
    assert info.activation_bits == bits
    operators = [node.op_type for node in onnx.load(info.path).graph.node]
    # Six convolutions and two FC layers.
    assert operators.count("QuantizeLinear") == 8
    assert operators.count("Clip") == (8 if bits < 8 else 0)
