"""Places and addresses, and files that are believed by their content."""

import hashlib
from pathlib import Path

import pytest

from orchestrator.places import (
    STATE,
    LostNetworkError,
    Place,
    Roots,
    file_trouble,
    lost_networks,
    network_file,
)
from orchestrator.state_folder import StateFolder
from orchestrator.trials import Artifact

TEXT = b"measured"
SHA = hashlib.sha256(TEXT).hexdigest()
INSIDE = "sweeps/a/trials/00003/model.safetensors"


def put(folder: Path, text: bytes = TEXT) -> str:
    path = folder / INSIDE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return str(path)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return Roots(StateFolder(tmp_path / "state"), tmp_path / "beside")


def address(roots: Roots, place: Place) -> str:
    return roots.address(place, "a", 3, len(TEXT), SHA)


def test_only_what_lies_in_the_state_folder_is_recorded_under_it(roots: Roots) -> None:
    assert roots.place(f"{roots.state.root}/{INSIDE}") == Place(INSIDE, STATE)
    for other in (f"{roots.state.root}-2/{INSIDE}", INSIDE, "s3://b/m"):
        assert roots.place(other) == Place(other)


def test_the_state_folder_comes_before_the_stores_own(roots: Roots, tmp_path: Path) -> None:
    place = Place(INSIDE, STATE)
    assert address(roots, place) == str(roots.state.root / INSIDE)
    beside = put(tmp_path / "beside")
    assert address(roots, place) == beside
    # Another sweep's file of the same size does not stand in for it.
    impostor = put(roots.state.root, b"another!")
    assert address(roots, place) == beside
    put(roots.state.root)
    assert address(roots, place) == impostor


def test_an_old_place_is_followed_only_for_its_own_trial(roots: Roots, tmp_path: Path) -> None:
    old = str(tmp_path / "old" / INSIDE)
    assert address(roots, Place(old)) == str(roots.state.root / INSIDE)
    put(tmp_path / "old")
    assert address(roots, Place(old)) == old
    alone = Roots(roots.state, roots.state.root)
    assert address(alone, Place(old)) == str(roots.state.root / INSIDE)
    for other in (old.replace("00003", "00004"), old.replace("/a/", "/b/"), "model.safetensors"):
        assert address(alone, Place(other)) == other


def test_a_network_is_believed_by_its_content(tmp_path: Path) -> None:
    path = put(tmp_path)
    assert network_file(Artifact(path, len(TEXT), SHA), "trial 3") == Path(path)
    Path(path).write_bytes(b"another!")
    with pytest.raises(LostNetworkError, match=r"trial 3 is not the one that was measured"):
        network_file(Artifact(path, len(TEXT), SHA), "trial 3")
    Path(path).unlink()
    with pytest.raises(LostNetworkError, match=r"trial 3 is not at .*PARETUNE_HOME"):
        network_file(Artifact(path, len(TEXT), SHA), "trial 3")


def test_lost_networks_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path)
    longer, closed = put(tmp_path / "longer", TEXT + b"!"), put(tmp_path / "closed")
    changed = put(tmp_path / "changed", b"another!")
    paths = [path, longer, closed, changed, str(tmp_path / "gone"), "s3://bucket/model"]
    artifacts = {n: Artifact(each, len(TEXT), SHA) for n, each in enumerate(paths)}
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != closed)
    lost = lost_networks(artifacts, {3})
    assert lost.keys() == {1, 2, 3, 4}
    assert "has 9 bytes, not 8" in lost[1]
    assert "Permission denied" in lost[2]
    assert "is not the one that was measured" in lost[3]
    assert "is not at" in lost[4]
    # A change that keeps the size is found where the whole file is read.
    assert lost_networks(artifacts, set()).keys() == {1, 2, 4}
    assert file_trouble(Path(path), SHA) == ""
