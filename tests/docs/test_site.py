"""The documentation as a site: whole, without a dead link, and readable without a network."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

# What a newcomer asks, and the page and words that answer it.
ASKED = {
    "weight_decay": ("reference/sweep-file.html#training", "0.0001"),
    "add 20 trials": ("guides/first-sweep.html#more-trials", "--trials 60"),
    "objective afterwards": ("guides/read-a-front.html#other-objectives", "--objectives"),
    "another machine": (
        "guides/compare-and-tidy-up.html#one-file-for-a-sweep",
        "paretune restore FILE",
    ),
    "is noise": ("guides/trust-a-claim.html", "--intervals"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as CI builds it: a dead link or anchor, or a page in no menu, is an error."""
    pytest.importorskip("mkdocs", reason="needs the extra dev")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def text_of(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


@pytest.mark.slow
def test_the_first_page_leads_to_what_newcomers_ask(site: Path) -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", (site / "index.html").read_text(), re.DOTALL)
    for question, (link, answer) in ASKED.items():
        (row,) = [row for row in rows if question in re.sub(r"<[^>]+>", "", row)]
        assert f'href="{link}"' in row
        assert answer in text_of(site / link.partition("#")[0])


@pytest.mark.slow
def test_the_search_finds_what_newcomers_ask(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    places = {entry["location"] for entry in entries}
    assert {link for link, _ in ASKED.values()} <= places


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|img|iframe|source)[^>]+src=\"?(?:https?:)?//"
        r"|<link[^>]+rel=\"?(?:stylesheet|preload|preconnect)[^>]+href=\"?(?:https?:)?//"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 80
    assert [str(page) for page in pages if loads.search(page.read_text())] == []


@pytest.mark.slow
def test_every_name_of_the_package_is_in_its_reference(site: Path) -> None:
    import orchestrator

    text = text_of(site / "reference" / "python.html")
    assert [name for name in orchestrator.__all__ if name not in text] == []


def test_every_decision_is_listed() -> None:
    folder = REPOSITORY / "docs" / "decisions"
    listed = re.findall(r"\]\(([^)]+)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("0*.md"))
