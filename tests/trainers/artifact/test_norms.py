"""Merged batch norms: half the bytes, the same codes, and nearly the same outputs."""

from pathlib import Path

import torch
from torch import nn

from trainers.artifact import load_artifact, predict_bytes, read_quantized, write_artifact
from trainers.networks.network import Network, build_network
from trainers.quantization import QuantizationConfig

CONFIG = QuantizationConfig(bits=3, fc_bits=3)


def trained() -> Network:
    """A network whose batch norms differ from channel to channel."""
    torch.manual_seed(0)
    network = build_network("cifar_resnet20", weights="scratch", widths=[], classes=10).eval()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for vector in (norm.weight, norm.get_buffer("running_var")):
                nn.init.uniform_(vector, 0.5, 2.0)
            for vector in (norm.bias, norm.get_buffer("running_mean")):
                nn.init.normal_(vector, 0.0, 0.2)
    return network


def test_merged_norms_save_two_of_four_vectors_and_leave_codes_and_outputs(tmp_path: Path) -> None:
    network, images = trained(), torch.rand(4, 3, 32, 32)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for name, merge in (("whole", False), ("merged", True)):
        write_artifact(
            network, tmp_path / name, quantization=CONFIG, classes=None, merge_norms=merge
        )
    assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())
    sizes = [(tmp_path / name).stat().st_size for name in ("whole", "merged")]
    assert sizes[1] == predict_bytes(network.spec, CONFIG, None, merge_norms=True)
    channels = sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    assert sizes[0] - sizes[1] > 2 * 4 * channels
    codes = [read_quantized(tmp_path / name) for name in ("whole", "merged")]
    assert all(torch.equal(codes[0][name].codes, codes[1][name].codes) for name in codes[0])
    with torch.inference_mode():
        whole, merged = (load_artifact(tmp_path / name)(images) for name in ("whole", "merged"))
    assert torch.allclose(whole, merged, rtol=1e-4, atol=1e-4)
    assert whole.std() > 0.01


def test_a_loaded_network_with_merged_norms_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    float_weights = QuantizationConfig()
    write_artifact(
        trained(), tmp_path / "a", quantization=float_weights, classes=None, merge_norms=True
    )
    loaded = load_artifact(tmp_path / "a")
    write_artifact(
        loaded, tmp_path / "b", quantization=float_weights, classes=None, merge_norms=True
    )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
