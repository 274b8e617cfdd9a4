"""Figures in a page: drawn when they come into view, in light and dark, without a network."""

import json
import re
from html import escape, unescape
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    "toImageButtonOptions": {"width": 900, "height": 560, "scale": 2},
}

_SCRIPT = (Path(__file__).parent / "figure_page.js").read_text(encoding="utf-8")
# The colors are also those that the script draws with.
STYLE = """
  :root { color-scheme: light dark; --ink: #1b2430; --muted: #5b6675; --paper: #ffffff;
          --soft: #f3f6f9; --line: #dde2e9; --strong: #b4bcc8; --accent: #2a788e; --found: #eef7f4;
          --warning: #fdf6e3; --grid: #e3e8ee; --pale: #dde2e9; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e4e8ee; --muted: #a3adba; --paper: #171c24; --soft: #222933; --line: #323a46;
            --strong: #4a5462; --accent: #5fb3c9; --found: #1d3a33; --warning: #3a3320;
            --grid: #323a46; --pale: #39424e; }
  }
  .scroll { overflow-x: auto; }
  .drawing.parallel { min-width: 720px; }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}
  body {{ margin: 0 auto; padding: .8rem 1rem; max-width: 1500px; background: var(--paper);
         color: var(--ink);
         font: 15px/1.45 Inter, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }}
  h1 {{ font-size: 1.15rem; margin: .2rem 0; }}
  p {{ margin: .1rem 0 .6rem; color: var(--muted); font-size: 13px; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{hint}
{figure}
</main>
{scripts}
</body>
</html>
"""


def figure_page(figure: go.Figure, *, nonce: str = "") -> str:
    """Write a page that holds one figure, its title as a heading; plotly.js (4.5 MB) is inside.

    Args:
        figure: As `orchestrator.plots` makes them.
        nonce: For scripts, where a content-security policy asks for one.
    """
    title, hint = title_and_hint(figure)
    return _PAGE.format(
        title=escape(title or "Plot"),
        hint=f"<p>{escape(hint)}</p>" if hint else "",
        style=STYLE,
        figure=embedded(figure, "figure-0", title),
        scripts=scripts(nonce=nonce),
    )


def embedded(figure: go.Figure, place: str, said: str) -> str:
    """Write a figure without its title as an element that `scripts` draws.

    Args:
        figure: The figure.
        place: An id that no other element of the page has.
        said: What it shows, for screen readers.
    """
    shown = go.Figure(figure)
    is_parallel = any(trace.type == "parcoords" for trace in shown.data)
    if shown.layout.title.text:
        shown.update_layout(title=None, margin={"t": 80 if is_parallel else 44})
    height = shown.layout.height or 520
    content = json.loads(shown.to_json()) | {"config": _CONFIG}
    # Within a script element, nothing but this sequence could end it.
    text = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    kind = "drawing parallel" if is_parallel else "drawing"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(said)}">'
        f'<div class="{kind}" data-figure="{place}" style="min-height:{height}px"></div></div>'
        f'<script type="application/json" id="{place}">{text}</script>'
    )


def scripts(*, nonce: str = "") -> str:
    """Write plotly.js, and the script that draws the embedded figures of a page."""
    mark = f' nonce="{nonce}"' if nonce else ""
    return f"<script{mark}>{get_plotlyjs()}</script>\n<script{mark}>{_SCRIPT}</script>"


def title_and_hint(figure: go.Figure) -> tuple[str, str]:
    """Return the title of a figure and the line below it, as plain text.

    >>> title_and_hint(go.Figure(layout={"title": {"text": "<b>a &lt; b</b><br><i>c</i>"}}))
    ('a < b', 'c')
    """
    first, _, rest = (figure.layout.title.text or "").partition("<br>")
    title, hint = (unescape(re.sub(r"<[^>]*>", "", text)) for text in (first, rest))
    return title, hint
