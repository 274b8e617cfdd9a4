"""What all pages share: their template, their drawings, and how they are written."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined

from orchestrator.plots.drawing import FONT, INK
from trainers.files.whole_file import whole_file


def template(name: str) -> Any:
    """Load one of the templates of this package."""
    environment = Environment(
        loader=PackageLoader("orchestrator.reporting", ""),
        # Text from users' files or from errors is escaped, never treated as markup.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def figure_html(figure: go.Figure, *, with_library: bool) -> str:
    """Render a drawing as HTML; plotly.js (4.5 MB) is in it if asked for."""
    text: str = figure.to_html(
        full_html=False,
        include_plotlyjs=with_library,
        default_height="560px" if figure.layout.height is None else f"{figure.layout.height}px",
        config={"displaylogo": False, "displayModeBar": False, "responsive": True},
    )
    return text


def plain(figure: go.Figure) -> go.Figure:
    """Give the drawing of an analysis its fonts and its height; the page has the title."""
    return figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="white",
        margin={"t": 20},
        height=420,
    )


def made_by(command: str, *packages: str) -> dict[str, str]:
    """Return when and by which command and versions a page was made."""
    names = ("paretune", *packages)
    return {
        "this page": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, by {command}",
        "versions": ", ".join(f"{name} {version(name)}" for name in names),
    }


def write_page(page: str, path: Path) -> None:
    """Write a page atomically: it appears whole or not at all.

    Raises:
        OSError: The folder is missing or cannot be written to.
    """
    with whole_file(path) as file:
        file.write(page.encode())
