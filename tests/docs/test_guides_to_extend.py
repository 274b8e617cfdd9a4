"""Whoever follows a guide to an extension, block by block, has tests that pass."""

import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
COPIED = ("orchestrator", "search_spaces", "trainers", "tests", "docs")
_BLOCK = re.compile(r"^( *)```(python|diff|console)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the packages and of their tests, to be written in."""
    for folder in COPIED:
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("thing", ["a-command", "a-quantizer", "a-sampler", "an-evaluator"])
def test_following_the_guide_gives_tests_that_pass(checkout: Path, thing: str) -> None:
    guide = (REPOSITORY / "docs" / "guides" / f"add-{thing}.md").read_text(encoding="utf-8")
    written, ran = [], 0
    for _, kind, block in _BLOCK.findall(guide):
        first, _, body = textwrap.dedent(block).partition("\n")
        if kind == "console":
            for line in textwrap.dedent(block).splitlines():
                _run(checkout, *shlex.split(line.removeprefix("$ ")))
                ran += 1
            continue
        path = checkout / first.removeprefix("# ")
        if kind == "python":
            path.write_text(body, encoding="utf-8")
            written.append(str(path.relative_to(checkout)))
        else:
            _change(path, body)
    assert ran
    _run(checkout, "ruff", "check", "--no-cache", *written)
    _run(checkout, "ruff", "format", "--no-cache", "--check", *written)


def test_every_guide_to_an_extension_is_followed() -> None:
    guides = {path.stem for path in (REPOSITORY / "docs" / "guides").glob("add-*.md")}
    followed = {"add-a-command", "add-a-quantizer", "add-a-sampler", "add-an-evaluator"}
    # A backbone is followed beside its own tests.
    assert guides == {*followed, "add-a-backbone"}


def _change(path: Path, hunks: str) -> None:
    """Apply changes that name lines by their text; each must be there exactly once."""
    text = path.read_text(encoding="utf-8")
    for hunk in hunks.split("@@\n"):
        lines = hunk.splitlines()
        before = "\n".join(line[1:] for line in lines if line[:1] in (" ", "-"))
        after = "\n".join(line[1:] for line in lines if line[:1] in (" ", "+"))
        assert text.count(before) == 1, f"{path.name} has {text.count(before)} times:\n{before}"
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


def _run(checkout: Path, program: str, *arguments: str) -> None:
    """Run a program of the guide in the copy; modules come from there, not from here."""
    command = [sys.executable, *(() if program == "python" else ("-m", program)), *arguments]
    if program == "pytest":
        command += ["-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    done = subprocess.run(
        command,
        cwd=checkout,
        env={"PYTHONPATH": str(checkout), "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
