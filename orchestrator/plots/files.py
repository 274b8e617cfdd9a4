"""The file of a figure: an interactive page, or a picture."""

from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.plots.figure_page import figure_page
from trainers.files.whole_file import whole_file

_WIDTH, _HEIGHT = 900, 560
_PICTURES: Mapping[str, Mapping[str, float]] = {
    ".png": {"scale": 2},
    ".svg": {},
    ".pdf": {},
}
ENDINGS = (".html", *_PICTURES)


def check_ending(path: Path) -> None:
    """Refuse a file that no plot can be written to, before it is computed.

    Raises:
        UsageError: The name ends otherwise.

    >>> check_ending(Path("a.txt"))
    Traceback (most recent call last):
    orchestrator.errors.UsageError: A plot is written to .html, .png, .svg or .pdf, not to a.txt.
    """
    if path.suffix.lower() not in ENDINGS:
        listed = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        raise UsageError(f"A plot is written to {listed}, not to {path}.")


def write_figure(figure: go.Figure, path: Path) -> None:
    """Write a figure as its file's ending says.

    A page needs no network: plotly.js is inside (4.5 MB). A picture is drawn by kaleido (the
    extra ``pictures``) in a Chromium, from the same figure.

    Raises:
        UsageError: The name of the file has another ending.
        OrchestratorError: A picture is asked for, and kaleido or a browser is missing.
    """
    check_ending(path)
    ending = path.suffix.lower()
    content = figure_page(figure).encode() if ending == ".html" else _picture(figure, ending[1:])
    with whole_file(path) as file:
        file.write(content)


def _picture(figure: go.Figure, form: str) -> bytes:
    height = figure.layout.height or _HEIGHT
    settings = _PICTURES[f".{form}"]
    try:
        found: bytes = figure.to_image(form, width=_WIDTH, height=height, **settings)
    except (ImportError, ValueError) as error:
        raise OrchestratorError(
            f"A picture needs kaleido: pip install 'paretune[pictures]', or write .html. ({error})"
        ) from error
    except Exception as error:
        # kaleido's errors about a browser have no common base.
        raise OrchestratorError(
            f"A picture is drawn by a browser, and that failed: {error} Install Chromium or "
            f"Chrome, name it in BROWSER_PATH, or write .html."
        ) from error
    return found
