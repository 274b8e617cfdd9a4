"""What the documentation names is there: files, modules, commands and their options."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import typer

from orchestrator.cli.app import app
from orchestrator.quantities import QUANTITIES
from orchestrator.trials import FailureKind

REPOSITORY = Path(__file__).parent.parent
# What was is told in the changelog, and in results of a day.
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
ROOTS = [REPOSITORY, *(REPOSITORY / name for name in ("orchestrator", "trainers", "docs"))]
IDS = [str(page.relative_to(REPOSITORY)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", page.read_text()))
    assert [n for n in sorted(named) if not any((root / n).is_file() for root in ROOTS)] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    here = [target for target in targets if "://" not in target]
    assert [target for target in here if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_modules_and_their_members_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(r"`((?:orchestrator|trainers|search_spaces)(?:\.\w+)+)", page.read_text())
    assert [name for name in sorted(set(named)) if not _is_there(name)] == []


def _is_there(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_and_options_that_a_page_names_are_there(page: Path) -> None:
    group = typer.main.get_command(app)
    known = dict(group.commands)  # type: ignore[attr-defined]
    groups = {name: each.commands for name, each in known.items() if hasattr(each, "commands")}
    for group_name, commands in groups.items():
        known |= {f"{group_name} {name}": each for name, each in commands.items()}
    wrong = []
    text = page.read_text()
    blocks = "".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL))
    written = re.findall(r"`paretune ([a-z][^`\n]*)`", text)
    written += re.findall(r"(?m)^(?:\$ )?paretune ([a-z].*)", blocks)
    for line in written:
        first, *rest = line.split()
        name = f"{first} {rest[0]}" if first in groups and rest else first
        if name not in known:
            wrong.append(line)
            continue
        params = known[name].params
        options = {each for param in params for each in (*param.opts, *param.secondary_opts)}
        wrong += [
            line for option in re.findall(r"(?<!\S)--[a-z][\w-]*", line) if option not in options
        ]
    assert wrong == []


def test_every_kind_of_failure_and_every_value_is_explained() -> None:
    reliability = (REPOSITORY / "docs" / "reliability.md").read_text()
    assert [kind for kind in FailureKind if f"| `{kind.value}` |" not in reliability] == []
    glossary = (REPOSITORY / "docs" / "glossary.md").read_text()
    assert [name for name in QUANTITIES if f"`{name}" not in glossary] == []


def test_the_guide_to_attacks_knows_the_schedulers() -> None:
    text = (REPOSITORY / "docs" / "guides" / "robustness.md").read_text()
    assert "No scheduler" not in text
    assert "stop-trials-early.md" in text
