"""A user's code is its file and what that imports of its own folder."""

import hashlib
from pathlib import Path

import pytest

from trainers.doors import (
    DoorError,
    content_name,
    file_digest,
    load_reference,
    located,
    reference_digest,
)
from trainers.doors.imports import imported_files

FILES = {
    "my_model.py": "import os, layers.norms\nfrom layers import convs as c, Norm\nimport broken\n"
    "def build():\n    import late\n    return late.SIZE\n",
    "layers/__init__.py": "from .norms import Norm",
    "layers/norms.py": "from . import sizes\nfrom .. import above\nclass Norm: pass",
    "layers/sizes.py": "",
    "layers/convs.py": "import my_model",
    "layers/unused.py": "",
    "late.py": "SIZE = 3",
    "broken.py": "def (",
    "other.py": "import late",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "project"


def test_all_that_is_imported_is_found_and_nothing_else(folder: Path) -> None:
    found = imported_files(folder / "my_model.py")
    expected = ["broken", "late", "layers", "layers.convs", "layers.norms", "layers.sizes"]
    assert list(found) == expected
    assert found["layers"] == folder / "layers" / "__init__.py"


@pytest.mark.parametrize(
    "name", sorted({*FILES} - {"my_model.py", "layers/unused.py", "other.py"})
)
def test_the_digest_changes_with_what_is_imported(folder: Path, name: str) -> None:
    reference = f"{folder / 'my_model.py'}:build"
    before, alone = reference_digest(reference), file_digest(reference)
    (folder / name).write_text(FILES[name] + "\n# changed")
    assert reference_digest(reference) != before
    assert file_digest(reference) == alone


@pytest.mark.parametrize("name", ["layers/unused.py", "other.py"])
def test_the_digest_does_not_change_with_what_is_not_imported(folder: Path, name: str) -> None:
    reference = f"{folder / 'my_model.py'}:build"
    before = reference_digest(reference)
    (folder / name).write_text("changed = 1")
    assert reference_digest(reference) == before


def test_another_place_has_the_same_digest(folder: Path) -> None:
    before = reference_digest(f"{folder / 'my_model.py'}:build")
    moved = folder.rename(folder.with_name("moved"))
    assert reference_digest(f"{moved / 'my_model.py'}:build") == before


def test_a_file_that_imports_nothing_of_its_own_has_the_digest_of_earlier_versions(
    folder: Path,
) -> None:
    reference = f"{folder / 'late.py'}:SIZE"
    wanted = hashlib.sha256(b"SIZE\n" + (folder / "late.py").read_bytes()).hexdigest()
    assert reference_digest(reference) == file_digest(reference) == wanted


def test_code_is_located_by_the_name_that_an_earlier_version_gave_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    reference = f"{folder / 'other.py'}:build"
    earlier = f"other:build#{file_digest(reference)[:16]}"
    assert earlier != content_name(reference)
    assert located(earlier) == reference
    (folder / "late.py").write_text("SIZE = 4")
    with pytest.raises(DoorError, match="was changed"):
        located(content_name(reference).partition("#")[0] + "#" + "0" * 16)


def test_modules_of_one_name_in_two_folders_are_two(folder: Path) -> None:
    (folder / "my_model.py").write_text("def build():\n    import late\n    return late.SIZE\n")
    twin = folder.with_name("twin")
    twin.mkdir()
    (twin / "my_model.py").write_text("import late\ndef build():\n    return late.SIZE\n")
    (twin / "late.py").write_text("SIZE = 5")
    other = folder / "my_other.py"
    other.write_text("import late\ndef build():\n    return late.SIZE\n")
    assert load_reference(f"{other}:build")() == 3
    assert load_reference(f"{twin / 'my_model.py'}:build")() == 5
    assert load_reference(f"{other}:build")() == 3
