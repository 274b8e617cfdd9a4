import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from trainers.errors import WeightsError
from trainers.networks.backbones import build_backbone
from trainers.networks.backbones.weight_files import read_state


@pytest.fixture
def state() -> dict[str, Tensor]:
    return dict(build_backbone("digitnet", "scratch", seed=3).features.state_dict())


def refusal(path: Path, name: str = "digitnet") -> str:
    with pytest.raises(WeightsError) as caught:
        build_backbone(name, str(path))
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("extension", [".safetensors", ".pth", ".pt"])
def test_weights_come_back_as_they_were_written(
    extension: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"weights{extension}"
    save_file(state, path) if extension == ".safetensors" else torch.save(state, path)
    loaded = build_backbone("digitnet", str(path)).features.state_dict()
    assert list(loaded) == list(state)
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    assert all(
        p.requires_grad for p in build_backbone("digitnet", str(path)).features.parameters()
    )


def test_half_precision_weights_become_single(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_file({key: tensor.half() for key, tensor in state.items()}, path)
    loaded = build_backbone("digitnet", str(path)).features.state_dict()
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}


def test_the_head_of_a_whole_network_is_left_out(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "whole.pth"
    extra = {"classifier.0.weight": torch.zeros(7, 9), "fc.bias": torch.zeros(3)}
    torch.save({"state_dict": state | extra, "epoch": 9}, path)
    loaded = build_backbone("digitnet", str(path)).features.state_dict()
    assert list(loaded) == list(state)


def test_names_that_data_parallel_has_changed_are_understood(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "parallel.th"
    torch.save({"state_dict": {f"module.{key}": tensor for key, tensor in state.items()}}, path)
    loaded = build_backbone("digitnet", str(path)).features.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


def test_old_files_without_batch_counters_are_accepted(tmp_path: Path) -> None:
    state = build_backbone("mobilenet_v3_small", "scratch").features.state_dict()
    path = tmp_path / "old.pth"
    torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, path)
    loaded = build_backbone("mobilenet_v3_small", str(path)).features.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


@pytest.mark.parametrize("extension", [".safetensors", ".pth"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(
    extension: str, share: float, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"cut{extension}"
    save_file(state, path) if extension == ".safetensors" else torch.save(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "truncated" in refusal(path) or "broken" in refusal(path)


class Malice:
    def __reduce__(self) -> tuple:
        return os.system, ("touch pwned",)


@pytest.mark.parametrize("extension", [".pth", ".pkl", ".safetensors", ".bin"])
def test_a_pickle_is_never_run(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain, torched = tmp_path / f"plain{extension}", tmp_path / f"torched{extension}"
    plain.write_bytes(pickle.dumps({"features.0.weight": Malice()}))
    torch.save({"features.0.weight": Malice()}, torched)
    for path in (plain, torched):
        refusal(path)
    assert not (tmp_path / "pwned").exists()


def test_something_else_than_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.pth"
    for content in ([1, 2], {"a": 1}, torch.zeros(3)):
        torch.save(content, path)
        assert "no state dict" in refusal(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "absent.safetensors")
    assert "not a file" in refusal(tmp_path)


def test_tensors_that_do_not_fit_are_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    state["0.weight"] = torch.zeros(16, 3, 3, 3)
    state["99.weight"] = torch.zeros(1)
    del state["2.bias"]
    path = tmp_path / "other.safetensors"
    save_file(state, path)
    text = refusal(path)
    assert "1 missing (2.bias)" in text
    assert "1 unexpected (99.weight)" in text
    assert "0.weight (16, 3, 3, 3) instead of (16, 1, 3, 3)" in text


def test_another_architecture_is_refused_with_a_few_names(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "digitnet.safetensors"
    save_file(state, path)
    text = refusal(path, "resnet18")
    assert "missing (conv1.weight, bn1.weight, bn1.bias, bn1.running_mean and" in text
    assert len(text) < 1000


def test_weights_that_are_not_finite_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    state["2.bias"][3] = torch.nan
    path = tmp_path / "nan.safetensors"
    save_file(state, path)
    assert "not finite: 1 in (2.bias)" in refusal(path)


def test_reading_gives_the_tensors_of_a_file(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    assert set(read_state(path)) == set(state)
