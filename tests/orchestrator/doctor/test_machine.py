"""Shared memory, the state folder, and which disk a path lies on."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.doctor.machine import (
    examine_shared_memory,
    examine_state_folder,
    network_file_system,
)

_MIB = 2**20
MOUNTS = """\
overlay / overlay rw 0 0
server:/export /home nfs4 rw,vers=4.2 0 0
/dev/sda1 /home/me/disk ext4 rw 0 0
me@host:/data /mnt/my\\040data fuse.sshfs rw 0 0
//nas/share /mnt/nas cifs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/paretune.db", None),
        ("/home/me/paretune.db", "nfs4"),
        ("/home", "nfs4"),
        ("/homes/me", None),
        ("/home/me/disk/paretune.db", None),
        ("/mnt/my data/paretune.db", "fuse.sshfs"),
        ("/mnt/nas/deep/er/paretune.db", "cifs"),
    ],
)
def test_the_mount_nearest_to_a_path_decides(path: str, kind: str | None) -> None:
    assert network_file_system(Path(path), MOUNTS) == kind


def test_of_two_mounts_at_one_point_the_later_one_counts() -> None:
    mounts = "a:/b /data nfs rw 0 0\n/dev/sdb /data ext4 rw 0 0\n"
    assert network_file_system(Path("/data/x"), mounts) is None


def test_no_mounts_mean_no_network() -> None:
    assert network_file_system(Path("/data/x"), "") is None


@pytest.mark.parametrize(("size", "ok"), [(64 * _MIB, False), (512 * _MIB, True), (0, False)])
def test_shared_memory_of_a_plain_container_is_too_small(size: int, ok: bool) -> None:
    finding = examine_shared_memory(size)
    assert finding.ok is ok
    assert ("--shm-size" in finding.fix) is not ok


def test_a_state_folder_need_not_exist_and_is_not_made(tmp_path: Path) -> None:
    folder, disk = examine_state_folder(tmp_path / "new" / "state")
    assert folder.ok
    assert disk.name == "free disk"
    assert not (tmp_path / "new").exists()


def test_a_state_folder_below_a_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (finding,) = examine_state_folder(tmp_path / "file" / "state")
    assert not finding.ok
    assert "PARETUNE_HOME" in finding.fix


@pytest.mark.parametrize(("free", "ok"), [(2**30, True), (2**30 - 1, False)])
def test_a_gibibyte_has_to_be_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, ok: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert examine_state_folder(tmp_path)[1].ok is ok
