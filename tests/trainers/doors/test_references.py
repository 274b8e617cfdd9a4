"""Code of a user's own: found beside the sweep file, called as promised, or refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trainers.doors import (
    DoorError,
    call_measure,
    load_reference,
    reference_digest,
    resolved_reference,
)

MODULE = """
import helper

def size(network, images, labels):
    return len(images) + helper.ONE

def raising(network, images, labels):
    raise KeyError("no such layer")

def text(network, images, labels):
    return "large"

def infinite(network, images, labels):
    return float("inf")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "metric.py").write_text(MODULE)
    (tmp_path / "helper.py").write_text("ONE = 1\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "inner.py").write_text("VALUE = 3\n")
    return tmp_path


def test_a_function_beside_the_sweep_file_is_found_and_called(folder: Path) -> None:
    reference = resolved_reference("metric:size", folder)
    assert reference == f"{folder / 'metric.py'}:size"
    assert resolved_reference(reference, Path("elsewhere")) == reference
    before = list(sys.path)
    assert call_measure(reference, None, [1, 2], [0, 1]) == 3.0
    assert sys.path == before


def test_the_code_that_runs_is_what_the_file_contains_now(folder: Path) -> None:
    file = folder / "metric.py"
    reference = resolved_reference("metric:size", folder)
    call_measure(reference, None, [1, 2], [0, 1])
    written = file.stat()
    # As long as before and, to the clock, as old: bytecode that was kept for it would be believed.
    file.write_text(MODULE.replace("+ helper.ONE", "- helper.ONE"))
    os.utime(file, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert call_measure(reference, None, [1, 2], [0, 1]) == 1.0


def test_a_file_may_define_dataclasses_whose_annotations_are_text(folder: Path) -> None:
    (folder / "metric.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n\n"
        "@dataclass\nclass Size:\n    images: int\n\n"
        "def size(network, images, labels):\n    return Size(len(images)).images\n"
    )
    assert call_measure(resolved_reference("metric:size", folder), None, [1, 2], [0, 1]) == 2.0


def test_modules_of_folders_and_installed_ones_are_found(folder: Path) -> None:
    assert load_reference(resolved_reference("package.inner:VALUE", folder)) == 3
    installed = resolved_reference("json.decoder:JSONDecoder", folder)
    assert installed == "json.decoder:JSONDecoder"
    assert load_reference(installed).__name__ == "JSONDecoder"
    assert len(reference_digest(installed)) == 64


@pytest.mark.parametrize("reference", ["metric", "metric:", ":size", "my metric:size", "a..b:c"])
def test_what_names_no_code_is_refused(folder: Path, reference: str) -> None:
    with pytest.raises(ValueError, match="is not code"):
        resolved_reference(reference, folder)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("metric:nothing", "has no 'nothing'"),
        ("metric:raising", "raised KeyError"),
        ("metric:text", "returned 'large'; a number"),
        ("metric:infinite", "a finite number"),
        ("absent_module:size", "There is no absent_module"),
        ("broken:size", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_broken_promise_is_a_sentence(folder: Path, reference: str, said: str) -> None:
    (folder / "broken.py").write_text("1 / 0\n")
    with pytest.raises(DoorError, match=said):
        call_measure(resolved_reference(reference, folder), None, [1], [0])


def test_the_content_and_the_name_decide_the_digest(folder: Path) -> None:
    first, other = (resolved_reference(f"metric:{name}", folder) for name in ("size", "text"))
    digest = reference_digest(first)
    assert reference_digest(other) != digest
    moved = folder / "package" / "metric.py"
    moved.write_text(MODULE)
    for beside in folder.glob("*.py"):
        shutil.copy(beside, moved.parent)
    assert reference_digest(f"{moved}:size") == digest
    (folder / "metric.py").write_text(MODULE + "\n")
    assert reference_digest(first) != digest
    (folder / "metric.py").unlink()
    with pytest.raises(DoorError, match="put it beside the sweep file"):
        reference_digest(first)


def test_it_can_be_imported_without_torch() -> None:
    code = "import sys, trainers.doors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
