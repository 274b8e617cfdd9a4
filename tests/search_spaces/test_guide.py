"""What the guide shows is what happens."""

import doctest
import re
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "write-a-space.md"


def test_the_examples_of_the_guide_give_what_it_shows(tmp_path, monkeypatch):
    files = re.findall(
        r"```yaml\n(# (\S+)\n.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    assert [name for _, name in files] == ["my_space.yaml", "wrong.yaml"]
    for content, name in files:
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(GUIDE), module_relative=False, encoding="utf-8")
    assert (result.failed, result.attempted) == (0, 9)
