"""Files of trials that cross from one machine to another."""

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.execution.carried_files import (
    KEPT_NAMES,
    DamagedFileError,
    marked,
    read_files,
    sees,
    write_files,
)


def test_what_is_written_is_what_was_read(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    for name in KEPT_NAMES:
        (here / name).write_bytes(name.encode())
    (here / "checkpoint.safetensors").write_bytes(b"stays")
    files = read_files(here)
    write_files(files, there)
    assert {file.name: file.read_bytes() for file in there.iterdir()} == {
        name: name.encode() for name in KEPT_NAMES
    }


def test_of_files_one_of_which_was_damaged_none_is_written(tmp_path: Path) -> None:
    (tmp_path / KEPT_NAMES[0]).write_bytes(b"network")
    (tmp_path / KEPT_NAMES[1]).write_bytes(b"network")
    good, other = read_files(tmp_path)
    with pytest.raises(DamagedFileError, match="another checksum"):
        write_files([good, replace(other, content=b"netw0rk")], tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_where_nothing_arrived_no_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_files([], Path("s3://bucket/sweeps/a/trials/00000"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_seen_by_a_marker_that_does_not_outlive_the_run(tmp_path: Path) -> None:
    with marked(tmp_path / "state") as marker:
        assert sees(marker)
        assert not sees(Path("/another/machine", marker.name))
    assert not sees(marker)
    assert list((tmp_path / "state").iterdir()) == []
