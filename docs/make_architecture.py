"""Draw `images/architecture.svg` from the imports: ``python docs/make_architecture.py``.

Each row is a layer of the import contracts in `pyproject.toml`; an arrow points from a package to
one that it imports. An import that follows from others (a imports b, b imports c, a imports c) is
left out, so that the picture stays readable.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "images" / "architecture.svg"
COLUMNS = (("orchestrator", 600), ("trainers", 400))
ROW, BOX, GAP, MARGIN = 56, 26, 10, 24

Edges = Mapping[str, frozenset[str]]
_STYLE = """
  svg { background: white; font-family: system-ui, sans-serif; font-size: 13px; }
  rect { fill: #eef3fb; stroke: #5b7db1; rx: 5px; }
  path { fill: none; stroke: #93a4bd; stroke-width: 1.1; marker-end: url(#tip); }
  .title { font-weight: 600; font-size: 15px; }
"""


def picture() -> str:
    """Give the whole picture as SVG."""
    graph = grimp.build_graph(
        *(name for name, _ in COLUMNS),
        "search_spaces",
        exclude_type_checking_imports=True,
        cache_dir=None,
    )
    parts: list[str] = []
    left, height = MARGIN, 0
    for container, width in COLUMNS:
        rows = layers(container)
        parts += _column(container, rows, reduced(_edges(graph, container)), left, width)
        left += width + MARGIN
        height = max(height, (len(rows) + 1) * ROW)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left} {height + MARGIN}" '
        f'width="{left}" role="img" aria-label="Packages and what they import">\n'
        f"<style>{_STYLE}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" '
        'style="fill:#93a4bd;stroke:none;marker-end:none"/></marker></defs>\n'
    )
    return head + "\n".join(parts) + "\n</svg>\n"


def layers(container: str) -> list[list[str]]:
    """Give the layers of a package, top first, as its import contract lists them."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contract = next(c for c in rules["contracts"] if c.get("containers") == [container])
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def reduced(edges: Edges) -> Edges:
    """Leave out each edge that follows from a longer way; the edges have no circle."""

    def reaches(start: str, target: str) -> bool:
        return start == target or any(reaches(each, target) for each in edges[start])

    return {
        start: frozenset(
            target
            for target in targets
            if not any(reaches(other, target) for other in targets - {target})
        )
        for start, targets in edges.items()
    }


def _edges(graph: grimp.ImportGraph, container: str) -> Edges:
    """Give the imports between the direct children of a package."""
    children = {name.rsplit(".", 1)[1]: name for name in graph.find_children(container)}
    return {
        short: frozenset(
            other
            for other, target in children.items()
            if other != short
            and graph.direct_import_exists(importer=name, imported=target, as_packages=True)
        )
        for short, name in children.items()
    }


def _column(
    container: str, rows: Sequence[Sequence[str]], edges: Edges, left: int, width: int
) -> Iterator[str]:
    yield f'<text class="title" x="{left}" y="{MARGIN}">{escape(container)}</text>'
    places: dict[str, tuple[float, float]] = {}
    boxes = []
    for number, row in enumerate(rows):
        share = width / len(row)
        top = MARGIN + 16 + number * ROW
        for index, name in enumerate(row):
            x = left + index * share
            places[name] = (x + (share - GAP) / 2, top)
            boxes.append(
                f'<rect x="{x:.0f}" y="{top}" width="{share - GAP:.0f}" height="{BOX}"/>'
                f'<text x="{x + (share - GAP) / 2:.0f}" y="{top + 18}" text-anchor="middle">'
                f"{escape(name)}</text>"
            )
    for start in sorted(edges):
        for target in sorted(edges[start]):
            (x1, y1), (x2, y2) = places[start], places[target]
            middle = (y1 + BOX + y2) / 2
            yield (
                f'<path d="M{x1:.0f},{y1 + BOX} C{x1:.0f},{middle:.0f} {x2:.0f},{middle:.0f} '
                f'{x2:.0f},{y2}"/>'
            )
    yield from boxes


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
