"""One version, told in one place; and a changelog that says what each one brought."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("orchestrator", "trainers", "search_spaces")
CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text()
VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
GROUPS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


def sections(changelog: str) -> list[tuple[str, str]]:
    """Title and text of each version's section, the newest first."""
    _, *parts = re.split(r"^## ", changelog, flags=re.M)
    return [(title.strip(), text) for title, _, text in (part.partition("\n") for part in parts)]


def faults(changelog: str) -> list[str]:
    """What is wrong with the form of a changelog, each in a sentence."""
    titles = [title for title, _ in sections(changelog)]
    if titles[:1] != ["Unreleased"]:
        return ["The first section is 'Unreleased', also when it is empty."]
    versions = [title.partition(" - ")[0] for title in titles[1:]]
    return [
        *(fault for title in titles[1:] for fault in _title_faults(title)),
        *(
            f"{newer} stands above {older}, and is not newer."
            for newer, older in pairwise(versions)
            if Version(newer) <= Version(older)
        ),
        *(fault for title, text in sections(changelog) for fault in _text_faults(title, text)),
    ]


def _title_faults(title: str) -> Iterator[str]:
    version, _, day = title.partition(" - ")
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield f"'{title}' does not begin with a version of three numbers."
    try:
        date.fromisoformat(day)
    except ValueError:
        yield f"'{title}' does not end with ' - YEAR-MONTH-DAY'."


def _text_faults(title: str, text: str) -> Iterator[str]:
    groups = re.findall(r"^### (.*)$", text, re.M)
    if sorted(groups, key=(*GROUPS, *groups).index) != groups or len(set(groups)) < len(groups):
        yield f"'{title}' has {groups}: each once, in the order {GROUPS}."
    for group in set(groups) - set(GROUPS):
        yield f"'{title}' has a group '{group}', which is none of {GROUPS}."
    before, *lists = re.split(r"^### .*$", text, flags=re.M)
    if before.strip():
        yield f"'{title}' has text before its first group."
    for group, lines in zip(groups, lists, strict=True):
        if not lines.strip():
            yield f"'{title}', {group}: nothing stands under it."
        for line in lines.splitlines():
            if line and not re.match(r"- \S|  +\S", line):
                yield f"'{title}', {group}: neither an entry nor its continuation: {line!r}"


def test_the_changelog_has_its_form() -> None:
    assert faults(CHANGELOG) == []


_GOOD = "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-11-01\n\n### Added\n\n- A.\n  More.\n"


def test_a_changelog_of_this_form_is_accepted() -> None:
    assert faults(_GOOD) == []
    assert faults(f"{_GOOD}\n### Fixed\n\n- B.\n\n## 0.1.9 - 2026-10-31\n") == []


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("## Unreleased", "## Soon", "The first section"),
        ("0.2.0 -", "0.2 -", "three numbers"),
        ("2026-11-01", "1 November", "YEAR-MONTH-DAY"),
        ("2026-11-01", "2026-11-31", "YEAR-MONTH-DAY"),
        ("### Added", "### New", "a group 'New'"),
        ("### Added", "### Fixed\n\n- B.\n\n### Added", "in the order"),
        ("### Added", "### Added\n\n- B.\n\n### Added", "each once"),
        ("### Added", "Much.\n\n### Added", "before its first group"),
        ("- A.\n  More.\n", "", "nothing stands under it"),
        ("- A.", "* A.", "neither an entry"),
        ("- A.\n  More.\n", "- A.\n\n## 0.2.1 - 2026-10-01\n", "is not newer"),
    ],
)
def test_a_changelog_of_another_form_is_told_what_is_wrong(
    right: str, wrong: str, fault: str
) -> None:
    assert right in _GOOD
    assert fault in " ".join(faults(_GOOD.replace(right, wrong)))


def test_the_version_is_that_of_the_newest_section_or_the_first_to_come() -> None:
    released = [title.partition(" - ")[0] for title, _ in sections(CHANGELOG)[1:]]
    assert (released[0] if released else "0.1.0") == VERSION


def test_a_commit_with_a_version_tag_is_that_version() -> None:
    for tag in _tags():
        assert tag == f"v{VERSION}", f"{tag} is on a commit whose version is {VERSION}"
        titles = [title for title, _ in sections(CHANGELOG)]
        assert any(title.startswith(f"{VERSION} - ") for title in titles), f"{tag} has no section"


def test_no_module_holds_a_version_of_its_own() -> None:
    literal = re.compile(rf'__version__\s*=|["\']{re.escape(VERSION)}["\']')
    found = [
        str(path)
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*.py")
        if literal.search(path.read_text())
    ]
    assert not found, f"pyproject.toml holds it; ask importlib.metadata: {found}"


def _tags() -> list[str]:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "tag", "--points-at", "HEAD", "--list", "v[0-9]*"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return listed.stdout.split()
