"""What every backbone promises, wherever it comes from."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from trainers.artifact import load_artifact, predict_bytes, write_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.networks.backbone_table import BackboneInfo, backbone_info
from trainers.networks.backbones import Backbone, build_backbone
from trainers.networks.backbones.shapes import backbone_shapes, stored_shapes
from trainers.networks.network import Network, assemble_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.plan import quantize_network
from trainers.quantization.quantized import dequantize
from trainers.training.finetune import FineTuning

_CLASSES = ("no", "yes")


class BackboneContract:
    """Subclass it, and give the fixture ``name`` as a sweep file would, resolved.

    Attributes:
        side: Side in pixels at which networks are run; None is the backbone's own.
    """

    side: int | None = None

    @pytest.fixture
    def name(self) -> str:
        """Give the name of the backbone."""
        raise NotImplementedError("Give the name of the backbone to be tested.")

    @pytest.fixture
    def info(self, name: str) -> BackboneInfo:
        """Give its facts."""
        return backbone_info(name)

    @pytest.fixture
    def backbone(self, name: str) -> Backbone:
        """Give it with random weights."""
        return build_backbone(name, "scratch", seed=1, image_size=self.side)

    @pytest.fixture
    def images(self, backbone: Backbone) -> ImageData:
        """Give twelve images of noise in two classes."""
        side, rng = backbone.input.height, np.random.default_rng(0)
        shape = (12, backbone.input.channels, side, side)
        pixels, labels = rng.integers(0, 256, shape, np.uint8), np.arange(12) % 2
        return ImageData("noise", _CLASSES, *(pixels, labels) * 3)

    def test_its_facts_are_those_of_what_is_built(
        self, info: BackboneInfo, backbone: Backbone
    ) -> None:
        with torch.inference_mode():
            features = backbone.features.eval()(_pixels(backbone, 2))
        assert features.shape == (2, info.n_features)
        assert features.isfinite().all()
        assert len(backbone.blocks) == info.n_blocks
        assert sum(p.numel() for p in backbone.features.parameters()) == info.parameters
        assert backbone.name == info.name
        assert backbone_info(info.name) == info

    def test_blocks_hold_every_parameter_once(self, backbone: Backbone) -> None:
        held = [id(p) for block in backbone.blocks for p in block.parameters()]
        assert sorted(held) == sorted(id(p) for p in backbone.features.parameters())

    def test_the_seed_decides_what_is_random(self, name: str, backbone: Backbone) -> None:
        again = build_backbone(name, "scratch", seed=1, image_size=self.side)
        assert _equal(_state(again), _state(backbone))

    def test_its_tensors_are_known_without_memory(self, info: BackboneInfo) -> None:
        shapes = backbone_shapes(info.name)
        whole = torch.nn.ModuleDict({"features": build_backbone(info.name, "scratch").features})
        assert shapes.tensors.stored == stored_shapes(whole)
        assert shapes.params == info.parameters

    def test_weights_of_a_file_are_loaded(
        self, name: str, backbone: Backbone, tmp_path: Path
    ) -> None:
        path = tmp_path / "weights.safetensors"
        save_file({k: v.contiguous() for k, v in _state(backbone).items()}, path)
        loaded = build_backbone(name, str(path), seed=2, image_size=self.side)
        assert _equal(_state(loaded), _state(backbone))
        held = {id(p) for block in loaded.blocks for p in block.parameters()}
        assert held == {id(p) for p in loaded.features.parameters()}

    @pytest.mark.parametrize("tune", ["head", "last_blocks:1", "all"])
    def test_training_changes_what_tune_names_and_nothing_else(
        self, name: str, images: ImageData, tune: str
    ) -> None:
        config = TrialConfig(
            backbone=name,
            weights="scratch",
            image_size=self.side,
            tune=tune,
            epochs=1,
            batch_size=6,
            widths=(4,),
        )
        training = FineTuning(config, images, device=torch.device("cpu"))
        network = training.network
        before = {key: p.detach().clone() for key, p in network.features.named_parameters()}
        training.run_epoch()
        changed = {k for k, p in network.features.named_parameters() if not p.equal(before[k])}
        last = {id(p) for p in network.blocks[-1].parameters()}
        in_last = {k for k, p in network.features.named_parameters() if id(p) in last}
        if tune == "head":
            assert not changed
        elif tune == "last_blocks:1":
            assert changed
            assert changed <= in_last
        else:
            assert changed - in_last

    @pytest.mark.parametrize("quantizer", ["symmetric", "affine"])
    def test_a_packed_network_is_the_quantized_one(
        self, backbone: Backbone, tmp_path: Path, quantizer: str
    ) -> None:
        network, path = _network(backbone), tmp_path / "model.safetensors"
        config = QuantizationConfig(bits=4, fc_bits=8, quantizer=quantizer)
        written = write_artifact(network, path, quantization=config, classes=_CLASSES)
        packed = load_artifact(path)
        assert written.bytes == predict_bytes(network.spec, config, _CLASSES)
        state = packed.state_dict()
        for key, weight in quantize_network(network, config).items():
            assert state[key].equal(dequantize(weight))
        assert packed.spec == network.spec

    def test_a_packed_network_computes_what_it_did(
        self, backbone: Backbone, tmp_path: Path
    ) -> None:
        network, path = _network(backbone), tmp_path / "model.safetensors"
        write_artifact(network, path, quantization=QuantizationConfig(), classes=None)
        pixels = _pixels(backbone, 2)
        with torch.inference_mode():
            assert load_artifact(path)(pixels).equal(network.eval()(pixels))

    def test_gradients_reach_the_pixels(self, backbone: Backbone) -> None:
        pixels = _pixels(backbone, 1).requires_grad_()
        _network(backbone).eval()(pixels).sum().backward()
        assert pixels.grad is not None
        assert pixels.grad.abs().sum() > 0

    @pytest.mark.slow
    def test_it_can_be_exported_to_onnx(self, backbone: Backbone, tmp_path: Path) -> None:
        pytest.importorskip("onnxscript", reason="needs paretune[onnx]")
        from trainers.onnx.export import export_onnx

        path = tmp_path / "model.safetensors"
        config = QuantizationConfig(bits=8, fc_bits=8)
        write_artifact(_network(backbone), path, quantization=config, classes=_CLASSES)
        info = export_onnx(path, tmp_path / "model.onnx")
        assert info.max_difference <= info.tolerance


def _network(backbone: Backbone) -> Network:
    return assemble_network(backbone, (4,), len(_CLASSES), seed=1)


def _pixels(backbone: Backbone, count: int) -> Tensor:
    side, generator = backbone.input.height, torch.Generator().manual_seed(0)
    return torch.rand(count, backbone.input.channels, side, side, generator=generator)


def _state(backbone: Backbone) -> dict[str, Tensor]:
    return dict(backbone.features.state_dict())


def _equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(first[k].equal(second[k]) for k in first)
