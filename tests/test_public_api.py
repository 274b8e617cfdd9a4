"""Names and signatures that other people's code relies on stay as they are."""

import difflib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden" / "public_api.txt"
SCRIPT = GOLDEN.with_name("make_public_api.py")


@cache
def public_api() -> list[str]:
    """The promises as they are now, from a process in which nothing else was imported."""
    ended = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=GOLDEN.parents[2], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.slow
def test_the_public_api_is_the_promised_one() -> None:
    promised = GOLDEN.read_text().splitlines()
    changes = [
        line
        for line in difflib.unified_diff(promised, public_api(), lineterm="", n=0)
        if line[0] in "+-" and not line.startswith(("+++", "---"))
    ]
    assert not changes, (
        "The public API changed. If that is meant, say so in CHANGELOG.md and write it anew:\n"
        f"    python {SCRIPT.relative_to(GOLDEN.parents[2])} > "
        f"{GOLDEN.relative_to(GOLDEN.parents[2])}\n" + "\n".join(changes)
    )


@pytest.mark.slow
def test_the_names_of_the_design_are_there() -> None:
    names = {line.split("(")[0] for line in public_api()}
    for name in ("load_sweep", "run", "open_sweep", "pareto_front"):
        assert f"def orchestrator.{name}" in names
    for member in ("to_frame", "plot", "hypervolume", "knee"):
        assert f"def orchestrator.Front.{member}" in names
    for suite in ("StoreContract", "SamplerContract"):
        assert any(suite in name for name in names), suite


def test_no_line_depends_on_the_process_or_the_machine() -> None:
    assert not [line for line in public_api() if "0x" in line or str(GOLDEN.parents[2]) in line]
