"""The stage cache: shared, bounded, and never the reason why anything fails."""

import errno
import multiprocessing
import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainers.errors import TrainerError
from trainers.files.checkpoints import save_checkpoint
from trainers.stages.backends import open_backend
from trainers.stages.cache import StageCache
from trainers.stages.use import CacheUse

FACTS = {"reports": [1, 2.5, "x"]}
# Fork: a process of its own for each would load torch again.
process = multiprocessing.get_context("fork").Process


def tensors(seed: int = 0, size: int = 100) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"a": torch.randn(size, generator=generator), "b": torch.arange(3)}


def assert_holds(cache: StageCache, name: str, expected: dict[str, Tensor]) -> None:
    found = cache.get(name)
    assert found is not None
    assert found[0].keys() == expected.keys()
    assert all(torch.equal(found[0][key], expected[key]) for key in expected)


@pytest.fixture(params=["folder", "file", "memory"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    folder = tmp_path / "some" / "where"
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/cache"
    return str(folder) if request.param == "folder" else folder.as_uri()


def test_what_is_kept_is_read_by_another_process_s_cache(where: str) -> None:
    first, second = StageCache(where, 1e9), StageCache(where, 1e9)
    assert first.get("x") is None
    assert first.put("x", tensors(), FACTS)
    assert_holds(second, "x", tensors())
    assert (second.get("x") or ({}, {}))[1] == FACTS
    assert second.put("x", tensors(1), {})
    assert_holds(first, "x", tensors(1))
    assert first.troubles == second.troubles == []


@pytest.mark.slow
def test_its_use_is_counted_in_entries_and_bytes(where: str) -> None:
    cache = StageCache(where, 1e9)
    size = sum(tensor.nbytes for tensor in tensors().values())
    made = [cache.made("x", tensors)[1] for _ in range(3)]
    assert made == [False, True, True]
    use = cache.use
    # An entry that is made was looked for twice, and is one miss.
    assert (use.hits, use.misses, use.read_bytes) == (2, 1, 2 * size)
    assert use.written_bytes > size
    cache.get("y")
    assert cache.use - use == CacheUse(misses=1)


def test_it_is_bounded_and_what_was_written_last_stays(where: str) -> None:
    cache = StageCache(where, 20_000)
    for number in range(12):
        assert cache.put(f"x{number}", tensors(number, 1_000), {})
        time.sleep(0.01)
    held = open_backend(where).held()
    assert sum(entry.bytes for entry in held) <= 20_000
    assert {entry.name for entry in held} == {f"x{number}" for number in range(8, 12)}
    assert cache.troubles == []


def test_what_was_used_last_outlives_what_was_written_last(tmp_path: Path) -> None:
    cache = StageCache(str(tmp_path), 20_000)
    for number in range(3):
        cache.put(f"x{number}", tensors(number, 1_000), {})
        os.utime(tmp_path / f"x{number}.safetensors", (number, number))
    assert cache.get("x0") is not None
    for number in range(3, 6):
        cache.put(f"x{number}", tensors(number, 1_000), {})
    assert cache.get("x0") is not None
    assert cache.get("x1") is None


def test_an_entry_larger_than_the_bound_is_not_kept_and_pushes_nothing_out(where: str) -> None:
    cache = StageCache(where, 10_000)
    cache.put("small", tensors(), {})
    assert not cache.put("large", tensors(size=10_000), {})
    assert cache.get("small") is not None
    assert cache.troubles == []


@pytest.mark.parametrize("position", [0, 60, -1])
def test_a_damaged_entry_is_named_removed_and_made_again(tmp_path: Path, position: int) -> None:
    cache = StageCache(str(tmp_path), 1e9)
    cache.put("x", tensors(), {})
    path = tmp_path / "x.safetensors"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    made, was_there = cache.made("x", tensors)
    assert not was_there
    assert torch.equal(made[0]["a"], tensors()["a"])
    (trouble,) = cache.troubles
    assert f"The entry x of the stage cache at {tmp_path} was removed" in trouble
    assert_holds(cache, "x", tensors())


def test_a_truncated_entry_at_a_url_is_removed_too() -> None:
    import fsspec

    where = f"memory://{uuid.uuid4().hex}"
    cache = StageCache(where, 1e9)
    cache.put("x", tensors(), {})
    files = fsspec.filesystem("memory")
    path = f"{where.removeprefix('memory:/')}/x.safetensors"
    files.pipe_file(path, files.cat_file(path)[:-8])
    assert cache.get("x") is None
    assert not files.exists(path)
    assert len(cache.troubles) == 1


def test_what_a_dead_process_left_unfinished_is_removed_after_a_while(tmp_path: Path) -> None:
    old, new = tmp_path / ".0123", tmp_path / ".4567"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (1, 1))
    StageCache(str(tmp_path), 1e9).put("x", tensors(), {})
    assert (old.exists(), new.exists()) == (False, True)


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_costs_a_warning_and_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = StageCache(str(tmp_path), 1e9)
    with monkeypatch.context() as patched:
        patched.setattr("trainers.files.checkpoints.os.fsync", full)
        for _ in range(2):
            made, was_there = cache.made("x", tensors)
            assert not was_there
            assert torch.equal(made[0]["a"], tensors()["a"])
    (trouble,) = cache.troubles
    assert "cannot be written (No space left on device)" in trouble
    assert not list(tmp_path.iterdir())
    assert cache.put("x", tensors(), {})


def test_a_place_that_is_no_folder_costs_warnings_and_no_trial(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    cache = StageCache(str(tmp_path / "file"), 1e9)
    made, was_there = cache.made("x", tensors)
    assert not was_there
    assert torch.equal(made[0]["a"], tensors()["a"])
    assert len(cache.troubles) == len(set(cache.troubles)) > 0
    assert (tmp_path / "file").read_text() == "mine"


def test_an_unknown_url_is_refused_without_its_password() -> None:
    with pytest.raises(TrainerError, match=r"stage cache nosuch://host/x cannot be used") as error:
        StageCache("nosuch://me:secret@host/x", 1e9)
    assert "secret" not in str(error.value)


def _write_often(folder: Path, seed: int) -> None:
    cache = StageCache(str(folder), 60_000)
    for number in range(40):
        cache.put("same", tensors(seed, 1_000), {})
        cache.put(f"{seed}-{number}", tensors(number, 1_000), {})
        found = cache.get("same")
        # Evicted, or one of the two whole.
        whole = found is None or any(
            torch.equal(found[0]["a"], tensors(each, 1_000)["a"]) for each in (1, 2)
        )
        if not whole or cache.troubles:
            os._exit(1)
    os._exit(0)


def ended(target: Callable[..., None], *arguments: list[object]) -> list[int | None]:
    processes = [process(target=target, args=each) for each in arguments]
    for each in processes:
        each.start()
    for each in processes:
        each.join(300)
    return [each.exitcode for each in processes]


@pytest.mark.slow
def test_many_writers_of_the_same_entries_do_no_harm(tmp_path: Path) -> None:
    assert ended(_write_often, [tmp_path, 1], [tmp_path, 2], [tmp_path, 2]) == [0, 0, 0]
    held = open_backend(str(tmp_path)).held()
    assert sum(entry.bytes for entry in held) <= 60_000 * 1.15
    assert not list(tmp_path.glob(".*"))


def test_an_entry_that_another_process_evicts_at_once_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The only way to have the other process act at this moment.
    replace = Path.replace

    def evicted(self: Path, target: Path) -> Path:
        placed = replace(self, target)
        target.unlink()
        return placed

    monkeypatch.setattr(Path, "replace", evicted)
    cache = StageCache(str(tmp_path), 1e9)
    assert cache.put("x", tensors(), {})
    assert not cache.troubles


def _make(folder: Path, number: int) -> None:
    def slowly() -> dict[str, Tensor]:
        (folder / f"made-{number}").touch()
        time.sleep(0.5)
        return tensors()

    made, _ = StageCache(str(folder / "cache"), 1e9).made("x", slowly)
    os._exit(0 if torch.equal(made[0]["a"], tensors()["a"]) else 1)


@pytest.mark.slow
def test_of_several_that_need_an_entry_one_makes_it(tmp_path: Path) -> None:
    assert ended(_make, *[[tmp_path, number] for number in range(3)]) == [0, 0, 0]
    assert len(list(tmp_path.glob("made-*"))) == 1


def test_a_worker_that_dies_while_making_an_entry_leaves_the_turn_to_others(
    tmp_path: Path,
) -> None:
    maker = process(target=_make_forever, args=(tmp_path,))
    maker.start()
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    os.kill(maker.pid or 0, signal.SIGKILL)
    maker.join(300)
    _, was_there = StageCache(str(tmp_path / "cache"), 1e9).made("x", tensors)
    assert not was_there


def _make_forever(folder: Path) -> None:
    def forever() -> dict[str, Tensor]:
        (folder / "begun").touch()
        time.sleep(600)
        return {}

    StageCache(str(folder / "cache"), 1e9).made("x", forever)


def test_a_worker_that_waits_too_long_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.stages.cache._LONGEST_WAIT_S", 0.2)
    place = open_backend(str(tmp_path))
    with place.lock("x", 1):
        _, was_there = StageCache(str(tmp_path), 1e9).made("x", tensors)
    assert not was_there


def test_an_entry_of_another_program_is_not_taken_for_one_of_ours(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x.safetensors", tensors(), FACTS)
    cache = StageCache(str(tmp_path), 1e9)
    assert cache.get("x") is not None
    (tmp_path / "x.safetensors").write_bytes(b"not safetensors")
    assert cache.get("x") is None
    assert len(cache.troubles) == 1
