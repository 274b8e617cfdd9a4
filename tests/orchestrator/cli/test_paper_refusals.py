"""What depth, pruning and reuse cannot do is told from the command line, before any training."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import Result

from trainers.reuse.arms import scratch_state

Call = Callable[..., Result]
RESNET = "cifar_resnet20"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=pixels, y=np.arange(40) % 2)
    return tmp_path / "a.npz"


@pytest.fixture
def check(call: Call, archive: Path) -> Callable[[Mapping[str, Any]], Result]:
    """Check a sweep on cifar_resnet20 with some sections changed."""

    def checked(changes: Mapping[str, Any]) -> Result:
        backbone = {"name": RESNET, "weights": "scratch", "image_size": 8}
        sweep = {
            "name": "refused",
            "data": {"npz": str(archive)},
            "training": {"tune": "all", "epochs": 1},
            "space": {"fc_width_1": {"type": "choice", "values": [8, 16]}},
            "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
            "budget": {"trials": 2},
            "tracking": {"kind": "none"},
            **changes,
            "backbone": backbone | changes.get("backbone", {}),
        }
        path = archive.with_name("refused.yaml")
        path.write_text(yaml.safe_dump(sweep))
        return call("check", path)

    return checked


def choice(*values: object) -> dict[str, object]:
    return {"type": "choice", "values": list(values)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"backbone": {"depth_cap": 1}},
            "depth_cap is 1, but a block of cifar_resnet20 has 2 convolution layers",
        ),
        (
            {"backbone": {"depth_cap": 2}, "space": {"depth": choice(1, 3)}},
            "depth is 3, but depth_cap 2 allows cifar_resnet20 1 blocks a stage",
        ),
        (
            {"pruning": {"sparsity": 0.999, "granularity": "filter"}},
            "0.999 leaves none of the 16 filters of features.conv1.weight",
        ),
        (
            {"pruning": {"granularity": "filter"}, "space": {"pruning_sparsity": choice(0.999)}},
            "0.999 leaves none of the 16 filters of features.conv1.weight",
        ),
        (
            {"pruning": {"sparsity": 0.5}, "quantization": {"bits": 4, "quantizer": "entropy"}},
            "pruning_sparsity is 0.5 and the quantizer is 'entropy'",
        ),
        (
            {"pruning": {"sparsity": 0.5, "granularity": "channel"}},
            "channels of cifar_resnet20 cannot be removed",
        ),
        (
            {
                "backbone": {"name": "digitnet", "image_size": None},
                "methods": {"share_kernels": True},
            },
            "no two of the 6 convolutions of this backbone have the same shape",
        ),
        ({"methods": {"expand": "kernels"}}, "trains kernels of 5x5 and more as several of 3x3"),
    ],
)
def test_check_names_layer_and_numbers(
    check: Callable[[Mapping[str, Any]], Result], changes: Mapping[str, Any], told: str
) -> None:
    result = check(changes)
    assert result.exit_code in (1, 2)
    assert told in " ".join(result.stderr.split())


@pytest.mark.parametrize("scale", [1.0, 255.0], ids=["unit", "normalised"])
def test_entropy_of_other_pixels_is_refused_with_the_reason(
    call: Call, tmp_path: Path, scale: float
) -> None:
    pixels = np.random.default_rng(0).normal(size=(20, 8, 8, 3)) * scale
    np.savez(tmp_path / "a.npz", x=pixels, y=np.arange(20) % 2)
    result = call("analyze", "depth", tmp_path / "a.npz")
    assert result.exit_code == 1
    assert "nearly every value is unique" in result.stderr


@pytest.mark.slow
def test_networks_of_other_architectures_get_a_table_and_exit_code_1(
    call: Call, tmp_path: Path, archive: Path
) -> None:
    paths = [tmp_path / name for name in ("source.pth", "target.pth")]
    for path, backbone in zip(paths, (RESNET, "cifar_resnet32"), strict=True):
        torch.save(scratch_state(backbone, 0), path)
    result = call("analyze", "reuse", *paths, "--backbone", RESNET, "--data", archive)
    assert result.exit_code == 1
    (row,) = (line for line in result.stdout.splitlines() if "layer1.3.conv1.weight" in line)
    assert row.split()[:2] == ["layer1.3.conv1.weight", "absent"]
    assert row.split()[-1] == "no"
    assert "60 of 155 tensors do not match" in result.stderr


@pytest.mark.slow
def test_a_kernel_of_another_shape_is_named_with_both(
    call: Call, tmp_path: Path, archive: Path
) -> None:
    state = dict(scratch_state(RESNET, 0))
    torch.save(state, tmp_path / "source.pth")
    state["layer2.0.conv1.weight"] = state["layer2.0.conv1.weight"][:30]
    torch.save(state, tmp_path / "target.pth")
    paths = (tmp_path / "source.pth", tmp_path / "target.pth")
    result = call("analyze", "reuse", *paths, "--backbone", RESNET, "--data", archive)
    assert result.exit_code == 1
    (row,) = (line for line in result.stdout.splitlines() if "layer2.0.conv1.weight" in line)
    assert "(32, 16, 3, 3)" in row
    assert "(30, 16, 3, 3)" in row
