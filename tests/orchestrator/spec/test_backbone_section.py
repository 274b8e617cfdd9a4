"""Backbones that are brought along, as a sweep file names them."""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from orchestrator.errors import UsageError
from orchestrator.spec.files import load_sweep
from orchestrator.spec.sweep_spec import SweepSpec

BUILD = (
    "from torch import nn\n\n\ndef build():\n"
    "    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten())\n"
    "    net.image_size = 8\n    return net\n"
)


@pytest.fixture
def file(write: Callable[..., Path]) -> Path:
    """A valid sweep file, and `my_model.py` beside it."""
    path = write()
    (path.parent / "my_model.py").write_text(BUILD)
    return path


def with_backbone(file: Path, section: str, *settings: str) -> SweepSpec:
    lines = file.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("backbone:")]
    assert len(kept) == len(lines) - 1
    file.write_text("\n".join([*kept, f"backbone: {section}"]))
    return load_sweep(file, settings=settings)


def test_a_module_beside_the_file_is_found_from_anywhere(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    spec = with_backbone(file, '"my_model:build"')
    assert spec.backbone.name == f"{file.parent / 'my_model.py'}:build"
    assert spec.backbone.weights == "own"
    assert spec.backbones[0].startswith("my_model:build#")
    assert spec.identity()["backbone"]["name"] == "by content:build"
    assert SweepSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_the_identity_is_that_of_the_same_file_elsewhere(file: Path, tmp_path: Path) -> None:
    one = with_backbone(file, '"my_model:build"')
    other = tmp_path / "moved"
    other.mkdir()
    for path in (file, file.parent / "my_model.py"):
        (other / path.name).write_text(path.read_text())
    assert load_sweep(other / file.name).fingerprint() == one.fingerprint()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('"my_model:other"', "has no 'other'"),
        ('"my_modal:build"', "There is no my_modal"),
        ('"my model:build"', "There is no my model"),
        ('{name: "my_model:build", weights: imagenet}', "no imagenet weights .*own, scratch"),
        ('{name: "my_model:build", weights: pretrained}', "no pretrained weights"),
        ('{name: "my_model:build", image_size: 12}', "returns 400 features for .* 144 for"),
        ('{name: "my_model:build", depth: 1}', "cannot be cut or scaled"),
        ("digitnot", "Did you mean 'digitnet'"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_line(file: Path, section: str, said: str) -> None:
    with pytest.raises(UsageError, match=rf"line \d+, backbone.*{said}"):
        with_backbone(file, section)


@pytest.mark.parametrize("imported", [False, True])
def test_code_beside_the_file_is_no_value_of_a_parameter(
    file: Path, monkeypatch: pytest.MonkeyPatch, *, imported: bool
) -> None:
    if imported:  # as by the code of another sweep in this process
        module = ModuleType("my_model")
        module.__spec__ = ModuleSpec("my_model", None)
        monkeypatch.setitem(sys.modules, "my_model", module)
    space = 'space={backbone: {type: choice, values: ["my_model:build", digitnet]}}'
    with pytest.raises(UsageError, match="is for the section backbone, which all trials share"):
        with_backbone(file, "{name: digitnet, weights: scratch}", space)


def test_channels_that_cannot_be_removed_are_a_problem_of_the_file(file: Path) -> None:
    pruning = "pruning={granularity: channel, sparsity: 0.5}"
    with pytest.raises(UsageError, match=r"channels of .*my_model.py:build cannot be removed"):
        with_backbone(file, '"my_model:build"', pruning)
