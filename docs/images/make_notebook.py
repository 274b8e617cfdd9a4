"""Make notebook.png from the example notebook, which is executed for it, or from an executed copy.

    python docs/images/make_notebook.py [EXECUTED.ipynb]

It needs a Chromium on the path, which it drives as the tests do, and the extra ``dev``. Cells and
their outputs are laid out plainly: no Jupyter server is started.
"""

import html
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import plotly.graph_objects as go
from nbclient import NotebookClient
from pictures import ROOT, browser_tab, shot

from orchestrator.plots.figure_page import STYLE, embedded, scripts
from tests.browser import Tab

EXAMPLE = ROOT / "examples" / "notebooks" / "first-look.ipynb"
WIDTH, HEIGHT = 1000, 1700
_DRAWN_S = 2.0
_LOOK = """
  body { font: 14px/1.4 "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; margin: 1rem auto;
         max-width: 940px; background: white; color: #1b2430; }
  pre { background: #f3f6f9; border-left: 3px solid #2a788e; padding: .5rem .8rem; }
  table { border-collapse: collapse; font-size: 12.5px } td, th { padding: .15rem .7rem .15rem 0 }
"""


def executed(folder: Path) -> Any:
    """Run the example in an empty folder."""
    shutil.copy(ROOT / "examples" / "sweeps" / "digits.yaml", folder)
    os.environ |= {"PARETUNE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}
    notebook = nbformat.read(EXAMPLE, 4)
    where = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=900, kernel_name="python3", resources=where).execute()


def page_of(notebook: Any) -> str:
    """Lay out cells and outputs as a page."""
    parts, figures = [], 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            first, _, rest = cell.source.partition("\n")
            tag, words = ("h1", first[2:]) if first.startswith("# ") else ("p", first)
            parts.append(f"<{tag}>{text_of(words)}</{tag}><p>{text_of(rest)}</p>")
            continue
        parts.append(f"<pre>{html.escape(cell.source)}</pre>")
        for output in cell.outputs:
            data = output.get("data", {})
            if "application/vnd.plotly.v1+json" in data:
                shown = data["application/vnd.plotly.v1+json"]
                figure = go.Figure(data=shown["data"], layout=shown["layout"])
                parts.append(embedded(figure, f"figure-{figures}", "Plot"))
                figures += 1
            elif "text/html" in data:
                parts.append(data["text/html"])
            elif "text/plain" in data:
                parts.append(f"<p>{html.escape(data['text/plain'])}</p>")
    head = f"<!doctype html><meta charset='utf-8'><style>{STYLE}{_LOOK}</style>"
    return f"{head}{''.join(parts)}{scripts()}"


def text_of(markdown: str) -> str:
    """Write text with its code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(markdown))


def draw(tab: Tab, page: Path) -> None:
    """Draw the beginning of the notebook."""
    tab.resize(WIDTH, HEIGHT)
    tab.open(page.as_uri())
    tab.wait("document.querySelector('.js-plotly-plot .main-svg')")
    shot(tab, "notebook.png", after_s=_DRAWN_S)


if __name__ == "__main__":
    with (
        browser_tab(__doc__, is_right=len(sys.argv) <= 2) as opened,
        tempfile.TemporaryDirectory(prefix="paretune-images-") as name,
    ):
        folder = Path(name)
        done = nbformat.read(sys.argv[1], 4) if sys.argv[1:] else executed(folder)
        page = folder / "notebook.html"
        page.write_text(page_of(done), encoding="utf-8")
        draw(opened, page)
