"""Checkpoints that are whole, or named as broken."""

import itertools
import multiprocessing
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trainers.files.checkpoints import CheckpointError, load_checkpoint, save_checkpoint

FACTS = {"epoch": 3, "seconds": 0.1 + 0.2, "nested": {"list": [1, None, "größe"]}}


def tensors() -> dict[str, Tensor]:
    return {
        "parameter.a.weight": torch.randn(3, 4),
        "strided": torch.arange(12.0).reshape(3, 4).T,
        "scalar": torch.tensor(7.0),
        "empty": torch.empty(0, 2),
        "whole": torch.tensor([2**62]),
        "odd": torch.tensor([float("nan"), -0.0, float("inf")]),
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
    }


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    given = tensors()
    path = tmp_path / "new" / "folder" / "c.safetensors"
    save_checkpoint(path, given, FACTS)
    found, facts = load_checkpoint(path)
    assert facts == FACTS
    assert found.keys() == given.keys()
    for name, tensor in given.items():
        assert found[name].dtype == tensor.dtype
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0, equal_nan=True)
    assert [file.name for file in path.parent.iterdir()] == ["c.safetensors"]


def test_a_checkpoint_without_tensors_is_one(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", {}, {})
    assert load_checkpoint(tmp_path / "c") == ({}, {})


def _replace_for_ever(path: Path) -> None:
    contents = [path.with_name(str(number)).read_bytes() for number in (1, 2)]
    for number in itertools.cycle((0, 1)):
        unfinished = path.with_name("unfinished")
        unfinished.write_bytes(contents[number])
        unfinished.replace(path)


@pytest.mark.slow
def test_a_checkpoint_that_is_replaced_while_it_is_read_is_the_one_or_the_other(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x"
    for file, number in (("1", 1), ("2", 2), ("x", 2)):
        save_checkpoint(tmp_path / file, {"a": torch.full((9,), number)}, {"number": number})
    writer = multiprocessing.get_context("spawn").Process(target=_replace_for_ever, args=(path,))
    writer.start()
    try:
        before = path.stat().st_ino
        while path.stat().st_ino == before:
            time.sleep(0.01)
        for _ in range(2_000):
            tensors, facts = load_checkpoint(path)
            assert bool((tensors["a"] == facts["number"]).all())
    finally:
        writer.kill()
        writer.join()


def test_a_checkpoint_that_is_not_there_is_no_broken_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "c")


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    save_checkpoint(path, tensors(), FACTS)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, {}, {})
    assert load_checkpoint(path)[1] == FACTS
    assert [file.name for file in tmp_path.iterdir()] == ["c"]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "c"
    save_checkpoint(path, {"a": torch.arange(20.0), "b": torch.ones(3)}, FACTS)
    return path.read_bytes()


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed(tmp_path: Path, content: bytes, place: float, bit: int) -> None:
    damaged = bytearray(content)
    damaged[int(place * len(damaged))] ^= 1 << bit
    _expect_refusal(tmp_path / "c", bytes(damaged), content)


@given(place=st.floats(0, 1, exclude_max=True))
def test_a_cut_is_noticed(tmp_path: Path, content: bytes, place: float) -> None:
    _expect_refusal(tmp_path / "c", content[: int(place * len(content))], content)


def _expect_refusal(path: Path, damaged: bytes, content: bytes) -> None:
    path.write_bytes(damaged)
    try:
        found, facts = load_checkpoint(path)
    except CheckpointError as error:
        assert str(path) in str(error)  # noqa: PT017 - not every change is one
        return
    # Another way to write the same: case of an escape, or a space for a line break.
    path.write_bytes(content)
    whole, whole_facts = load_checkpoint(path)
    assert facts == whole_facts
    assert all(torch.equal(found[name], whole[name]) for name in whole)


@pytest.mark.parametrize("content", [b"", b"x", b"\x80\x04K\x01.", b"{}" * 100])
def test_a_file_of_another_program_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(CheckpointError, match="truncated, damaged or of another program"):
        load_checkpoint(tmp_path / "c")


def test_tensors_of_another_program_are_no_checkpoint(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(2)}, tmp_path / "c")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "c")
