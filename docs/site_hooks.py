"""Hooks of mkdocs: pages and files from outside `docs`, and links to them.

Pages are written to be read in the repository, where links to the changelog and to examples work.
Here such a link leads to a copy in the site, so that the site has no dead link and needs no host.
"""

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Pages of the repository and where they are in the site.
PROJECT = {
    "benchmarks/RESULTS.md": "project/benchmarks.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "docker/README.md": "project/image.md",
    "README.md": "index.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"(```.*?```)", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside `docs`, and every file that a page links to."""
    for source, place in PROJECT.items():
        if place != "index.md":
            text = (ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, place, content=text))
    linked = {
        target
        for page in [*DOCS.rglob("*.md"), *(ROOT / name for name in PROJECT)]
        for _, _, link in _LINK.findall(page.read_text(encoding="utf-8"))
        if (target := _outside(page, link)) is not None
    }
    for target in sorted(linked):
        content = (ROOT / target).read_bytes()
        files.append(File.generated(config, f"files/{target}", content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Let links lead to what is in the site; a link to a folder becomes its words."""
    place = page.file.src_uri
    sources = {site: ROOT / source for source, site in PROJECT.items() if site != "index.md"}
    source = sources.get(place, DOCS / place)

    def led(found: re.Match[str]) -> str:
        mark, words, link = found.groups()
        target, hash_mark, anchor = link.partition("#")
        if "://" in link or not target or link.startswith("mailto:"):
            return found.group()
        there = _in_site(source, target)
        if there is None:
            return words
        shown = posixpath.relpath(there, posixpath.dirname(place) or ".")
        return f"{mark}[{words}]({shown}{hash_mark}{anchor})"

    blocks = _BLOCK.split(markdown)
    for at in range(0, len(blocks), 2):
        blocks[at] = _LINK.sub(led, blocks[at])
    return "".join(blocks)


def _in_site(source: Path, target: str) -> str | None:
    """The place in the site of what a page links to; None if the site has none."""
    path = Path(os.path.normpath(source.parent / target))
    if path.is_dir():
        return None
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    if not path.is_relative_to(ROOT):
        return target
    name = path.relative_to(ROOT).as_posix()
    return PROJECT.get(name, f"files/{name}")


def _outside(page: Path, link: str) -> str | None:
    """The path in the repository of a file that lies outside `docs` and is no page of the site."""
    target = link.partition("#")[0]
    if "://" in link or not target:
        return None
    path = Path(os.path.normpath(page.parent / target))
    if not path.is_file() or path.is_relative_to(DOCS) or not path.is_relative_to(ROOT):
        return None
    name = path.relative_to(ROOT).as_posix()
    return None if name in PROJECT else name
