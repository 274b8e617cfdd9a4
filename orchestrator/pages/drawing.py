"""A plot of a sweep as a page in a frame, which can reach nothing: not even the page around it."""

import secrets
from html import escape

from starlette.responses import HTMLResponse

from orchestrator.errors import OrchestratorError, UnknownNameError
from orchestrator.plots.figure_page import STYLE, figure_page
from orchestrator.queries.plotting import PLOTS, Asked, plot_of
from orchestrator.queries.sweeps import Sweep
from trainers.errors import TrainerError

# What the page draws by itself; parallel axes also need a browser that compiles strings.
_NOT_HERE = ("front", "parallel", "history")


def plots_here() -> list[tuple[str, str, str]]:
    """Return name, title and a sentence of each plot that the page offers.

    >>> [name for name, _, _ in plots_here()][:3]
    ['projections', 'over-time', 'importance']
    """
    return [(name, p.title, p.told) for name, p in PLOTS.items() if name not in _NOT_HERE]


def plot_response(sweep: Sweep, kind: str, asked: Asked) -> HTMLResponse:
    """Draw a plot as a page, or say there why it cannot be drawn."""
    known = [name for name, _, _ in plots_here()]
    nonce = secrets.token_urlsafe(16)
    try:
        if kind not in known:
            raise UnknownNameError("plot", kind, known)
        page, status = figure_page(plot_of(sweep, kind, asked), nonce=nonce), 200
    except (OrchestratorError, TrainerError) as error:
        page, status = _sentence(str(error)), 404
    policy = (
        "sandbox allow-scripts allow-downloads; default-src 'none'; "
        f"script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return HTMLResponse(page, status, headers={"content-security-policy": policy})


def _sentence(text: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>No plot</title>'
        f"<style>{STYLE} body {{ background: var(--paper); color: var(--ink); "
        f"font: 15px/1.45 sans-serif; overflow-wrap: anywhere }}</style></head>"
        f"<body><main><p class='refusal'>{escape(text[:2000])}</p></main></body></html>"
    )
