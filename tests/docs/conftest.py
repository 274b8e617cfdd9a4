"""The files that a guide tells its readers to write."""

import re
from pathlib import Path

import pytest


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """A folder with the files of the test's `GUIDE`."""
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "home"))
    guide = request.module.GUIDE.read_text()
    for name, content in re.findall(r"```\w+\n# (\S+)\n(.*?)```", guide, re.S):
        (tmp_path / name).write_text(content)
    return tmp_path
