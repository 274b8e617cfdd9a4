"""A backbone of a user's own: used as promised, known by its content, or refused in a sentence."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from trainers.artifact import load_artifact, write_artifact
from trainers.config import TrialConfig
from trainers.doors import DoorError, located, reference_digest
from trainers.errors import ArtifactError, WeightsError
from trainers.networks.backbone_table import backbone_info
from trainers.networks.backbones import build_backbone
from trainers.networks.brought.probing import found_blocks
from trainers.networks.brought.registry import check_size
from trainers.networks.network import assemble_network
from trainers.quantization import QuantizationConfig
from trainers.stages.keys import training_key

BUILD = """
from torch import nn

def build():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.image_size = 8
    return net
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Write a module, and give the reference to its ``build``."""

    def written(text: str) -> str:
        file = tmp_path / "my_model.py"
        file.write_text(text)
        return f"{file}:build"

    return written


def test_its_name_is_its_content_wherever_it_is(
    write: Callable[[str], str], tmp_path: Path
) -> None:
    reference = write(BUILD)
    name = backbone_info(reference).name
    assert name.startswith("my_model:build#")
    moved = tmp_path / "elsewhere" / "my_model.py"
    moved.parent.mkdir()
    shutil.copy(tmp_path / "my_model.py", moved)
    assert backbone_info(f"{moved}:build").name == name
    keys = [
        training_key(TrialConfig(backbone=each, weights="own"))
        for each in (reference, f"{moved}:build")
    ]
    assert keys[0] == keys[1]
    write(BUILD + "\n# other")
    assert training_key(TrialConfig(backbone=reference, weights="own")) != keys[0]


def test_own_weights_are_those_of_the_function_and_scratch_follows_the_seed(
    write: Callable[[str], str],
) -> None:
    reference = write(BUILD)

    def first(weights: str, seed: int) -> torch.Tensor:
        return next(build_backbone(reference, weights, seed=seed).features.parameters())

    assert first("own", 1).equal(first("own", 2))
    assert not first("scratch", 1).equal(first("scratch", 2))
    state = torch.random.get_rng_state()
    first("scratch", 3)
    assert torch.random.get_rng_state().equal(state)


def test_weights_that_the_function_loads_are_kept(write: Callable[[str], str]) -> None:
    reference = write(
        BUILD.replace("    net.image", "    nn.init.constant_(net[0].weight, 0.5)\n    net.image")
    )
    features = build_backbone(reference, "own").features
    assert bool((features.get_parameter("0.weight") == 0.5).all())


def test_a_module_that_is_always_the_same_object_is_not_shared(
    write: Callable[[str], str],
) -> None:
    reference = write(BUILD + "\nNET = build()\ndef build():\n    return NET\n")
    first, second = (build_backbone(reference, "own").features for _ in range(2))
    assert first is not second
    with torch.no_grad():
        first.get_parameter("0.weight").zero_()
    assert second.get_parameter("0.weight").abs().sum() > 0


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("def build():", "def build(classes):", "raised TypeError"),
        ("    return net", "    return 3", "returned a int; a torch.nn.Module"),
        ("nn.AdaptiveAvgPool2d(1), nn.Flatten()", "", r"shape \(2, 6, 4, 4\).*nn.Flatten"),
        ("net.image_size = 8", "net.image_size = 2", "2 images of 1x2x2, and raised"),
        ("net.image_size = 8", "net.image_size = 'small'", "a number of pixels"),
        ("    return net", "    net.num_features = 7\n    return net", "returns 6 features"),
        ("    return net", "    net.mean = [0.5] * 2\n    return net", "1 or 3 channels"),
        ("    return net", "    net.blocks = [net[0]]\n    return net", "leave out 1.weight"),
        ("    return net", "    net.blocks = [net, net]\n    return net", "more than once"),
        ("    return net", "    net.blocks = ['a']\n    return net", "not all modules"),
        ("def build", "def other", "has no 'build'"),
    ],
)
def test_a_broken_promise_is_a_sentence(
    write: Callable[[str], str], was: str, now: str, said: str
) -> None:
    assert was in BUILD
    with pytest.raises(ValueError, match=said):
        backbone_info(write(BUILD.replace(was, now)))


def test_another_number_of_features_at_another_size_is_refused(
    write: Callable[[str], str],
) -> None:
    check_size(write(BUILD), 12)
    with pytest.raises(ValueError, match=r"returns 384 features for images of 12 by 12 .* 96 for"):
        check_size(write(BUILD.replace("nn.AdaptiveAvgPool2d(1), ", "")), 12)


def test_it_cannot_be_cut_and_has_no_weights_of_others(write: Callable[[str], str]) -> None:
    reference = write(BUILD)
    with pytest.raises(ValueError, match="cannot be cut or scaled"):
        TrialConfig(backbone=reference, weights="own", depth=1)
    with pytest.raises(WeightsError, match=r"no imagenet weights of my_model:build.*own"):
        build_backbone(reference, "imagenet")
    with pytest.raises(WeightsError, match="there are no own weights of digitnet"):
        build_backbone("digitnet", "own")


def test_blocks_that_are_given_are_counted(write: Callable[[str], str]) -> None:
    given = "    net.blocks = [net[0:3], net[3]]\n    return net"
    assert backbone_info(write(BUILD.replace("    return net", given))).n_blocks == 2
    one = "    net.blocks = [net]\n    return net"
    assert backbone_info(write(BUILD.replace("    return net", one))).n_blocks == 1


def test_blocks_are_found_in_the_depth_of_single_children() -> None:
    stage = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    wrapped = nn.Sequential(nn.Sequential(nn.Sequential(stage, nn.ReLU()), nn.Flatten()))
    (block,) = found_blocks(wrapped)
    assert len(list(block.parameters())) == 4


@pytest.mark.slow
def test_a_packed_network_is_loaded_with_its_code_and_never_with_another(
    write: Callable[[str], str], tmp_path: Path
) -> None:
    reference, path = write(BUILD), tmp_path / "model.safetensors"
    network = assemble_network(build_backbone(reference, "own"), (), 2)
    write_artifact(network, path, quantization=QuantizationConfig(bits=4), classes=None)
    assert str(tmp_path) not in str(path.read_bytes())
    load = f"from trainers.artifact import load_artifact; load_artifact({str(path)!r})"

    def loaded(folder: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", load]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    assert loaded(tmp_path).returncode == 0
    (tmp_path / "empty").mkdir()
    assert "my_model.py is neither in this folder nor" in loaded(tmp_path / "empty").stderr
    mark = tmp_path / "was_run"
    write(f"open({str(mark)!r}, 'w')\n{BUILD}")
    assert "my_model:build was changed" in loaded(tmp_path).stderr
    assert not mark.exists()
    with pytest.raises(ArtifactError, match=r"was changed.*Restore the file as it was"):
        load_artifact(path)


def test_code_that_is_gone_is_said(write: Callable[[str], str], tmp_path: Path) -> None:
    name = backbone_info(write(BUILD)).name
    assert located(name) == f"{tmp_path / 'my_model.py'}:build"
    (tmp_path / "my_model.py").unlink()
    with pytest.raises(DoorError, match="The code my_model:build is needed"):
        located(name)


@pytest.mark.parametrize(
    ("backbone", "said"),
    [
        ("shutil:get_terminal_size", "is code without a digest"),
        ("{file}:build", "is code without a digest"),
        ("shutil:get_terminal_size#{digest}", "The code shutil:get_terminal_size is needed"),
        (
            "xml.dom:getDOMImplementation#{digest}",
            "The code xml.dom:getDOMImplementation is needed",
        ),
        ("../my_model:build#{digest}", "is not code"),
    ],
)
def test_a_file_of_a_stranger_runs_nothing(tmp_path: Path, backbone: str, said: str) -> None:
    mark = tmp_path / "was_run"
    (tmp_path / "my_model.py").write_text(f"def build():\n    open({str(mark)!r}, 'w')\n")
    digest = reference_digest("shutil:get_terminal_size")[:16]
    name = backbone.format(file=tmp_path / "my_model.py", digest=digest)
    plain, path = tmp_path / "plain.safetensors", tmp_path / "model.safetensors"
    network = assemble_network(build_backbone("digitnet", "scratch"), (), 2)
    write_artifact(network, plain, quantization=QuantizationConfig(), classes=None)
    with safe_open(plain, framework="pt") as file:
        metadata = {
            k: v.replace('"digitnet"', json.dumps(name)) for k, v in file.metadata().items()
        }
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(ArtifactError, match=said):
        load_artifact(path)
    assert not mark.exists()
