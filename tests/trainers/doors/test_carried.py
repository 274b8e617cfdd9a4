"""Code of a user's own goes along to machines that do not see its folder."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trainers.doors import (
    load_reference,
    read_code,
    reference_digest,
    references,
    write_code,
)

MODULE = """
import beside
from inner.deep import VALUE


def value():
    return VALUE + beside.ONE
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(references, "_COPIES", {})
    folder = tmp_path / "there"
    for name, text in {
        "mine.py": MODULE,
        "beside.py": "ONE = 1\n",
        "inner/__init__.py": "",
        "inner/deep.py": "VALUE = 41\n",
        "no_package/large.py": "x = 1\n",
        "weights.bin": "not code",
    }.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def test_a_module_and_what_it_imports_are_used_where_their_folder_is_not(
    folder: Path, tmp_path: Path
) -> None:
    reference = f"{folder / 'mine.py'}:value"
    digest, files = reference_digest(reference), read_code([reference, "statistics:fmean"])
    assert {Path(path).relative_to(folder).as_posix() for path in files} == {
        *("mine.py", "beside.py", "inner/__init__.py", "inner/deep.py")
    }
    shutil.rmtree(folder)
    write_code(files, tmp_path / "here")
    program = (
        "from pathlib import Path\nfrom trainers.doors import load_reference, write_code\n"
        f"write_code({files!r}, Path({str(tmp_path / 'here')!r}))\n"
        f"print(load_reference({reference!r})())"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout == "42\n"
    assert reference_digest(reference) == digest
    assert not folder.exists()


def test_code_that_is_here_is_used_where_it_is(folder: Path, tmp_path: Path) -> None:
    reference = f"{folder / 'beside.py'}:ONE"
    write_code(read_code([reference]), tmp_path / "here")
    assert not (tmp_path / "here").exists()
    assert load_reference(reference) == 1


def test_a_run_goes_on_with_the_code_that_it_began_with(folder: Path, tmp_path: Path) -> None:
    reference = f"{folder / 'beside.py'}:ONE"
    files = read_code([reference])
    (folder / "beside.py").write_text("ONE = 2\n")
    write_code(files, tmp_path / "here")
    assert load_reference(reference) == 1


def test_of_a_folder_with_too_much_the_module_goes_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers.doors import carried

    monkeypatch.setattr(carried, "_MOST_BYTES", 100)
    reference = f"{folder / 'beside.py'}:ONE"
    assert read_code([reference]) == {str(folder / "beside.py"): b"ONE = 1\n"}


def test_what_is_missing_is_left_out(tmp_path: Path) -> None:
    assert read_code([f"{tmp_path / 'absent.py'}:name", "digitnet", "timm:resnet18", ""]) == {}
