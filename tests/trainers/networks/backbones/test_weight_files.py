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


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "module._orig_mod."])
@pytest.mark.parametrize("extension", [".safetensors", ".pth"])
def test_wrappers_and_prefixes_are_taken_off_in_both_formats(
    extension: str, prefix: str, wrapper: str | None, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"wrapped{extension}"
    named = {f"{prefix}{key}": tensor for key, tensor in state.items()}
    # What torch's averaged models, and other things in a checkpoint, add beside.
    beside = {"n_averaged": torch.zeros(1)} if prefix else {}
    if extension == ".pth":
        whole = {wrapper: named | beside, "epoch": 3, "optimizer": {"state": {}}}
        torch.save(whole if wrapper else named | beside, path)
    else:
        outer = {f"{wrapper}.{key}": tensor for key, tensor in named.items()}
        optimizer = {"optimizer.state": torch.zeros(1)}
        save_file(outer | optimizer if wrapper else named | beside, path)
    loaded = build_backbone("digitnet", str(path)).features.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


def test_a_wrapper_in_a_wrapper_is_taken_off(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "twice.pth"
    torch.save({"model": {"state_dict": state}}, path)
    assert set(read_state(path)) == set(state)
    endless: dict[str, object] = {}
    endless["model"] = endless
    torch.save(endless, path)
    assert "no state dict" in refusal(path)


@pytest.mark.parametrize("name", ["a.pth.tar", "A.PTH", "a.Pt", "a.SafeTensors", "a.PTH.TAR"])
def test_endings_are_known_in_any_case(
    name: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / name
    save_file(state, path) if "safe" in name.lower() else torch.save({"state_dict": state}, path)
    assert set(read_state(path)) == set(state)


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8])
@pytest.mark.parametrize("extension", [".safetensors", ".pth"])
def test_numbers_whose_scale_is_not_known_are_refused(
    extension: str, kind: torch.dtype, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"small{extension}"
    small = {key: tensor.to(kind) for key, tensor in state.items()}
    save_file(small, path) if extension == ".safetensors" else torch.save(small, path)
    text = refusal(path)
    assert "12 of them (0." in text
    assert f"0.weight {str(kind).removeprefix('torch.')}" in text
    assert "Save it in float32, float16 or bfloat16." in text


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
