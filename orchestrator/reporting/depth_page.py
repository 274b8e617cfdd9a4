"""The entropy of a data set and its depth cap as one self-contained page."""

from collections.abc import Mapping

import plotly.graph_objects as go

from orchestrator.analysis.depth_analysis import QUANTILES, DepthReport, EntropySummary
from orchestrator.analysis.depth_cap import BASIS, DepthScope
from orchestrator.plots.drawing import ACCENT, MUTED
from orchestrator.reporting.page_parts import figure_html, made_by, plain, template


def depth_page(report: DepthReport, command: str) -> str:
    """Render a report as HTML, with a drawing of the entropies by class.

    Args:
        report: The report.
        command: The command that wrote the page.
    """
    channels, height, width = report.shape
    per = "each stage" if report.conversion.scope == DepthScope.STAGE else "the whole network"
    page: str = template("analysis.html.j2").render(
        title=f"{report.data}: entropy and depth",
        verdict=f"Suggested cap: {report.cap} convolution layers in {per} = "
        f"{report.conversion.formula(report.overall.mean)}. {BASIS}.",
        notes=report.notes,
        figure=figure_html(entropy_figure(report.overall, report.by_class), with_library=True),
        headings=["class", "images", "mean", "std", *(f"{100 * q:g} %" for q in QUANTILES)],
        rows=[
            _row(name, each) for name, each in [("all", report.overall), *report.by_class.items()]
        ],
        facts={
            "images": f"{report.overall.images:,} training images of {width} x {height} pixels, "
            f"{channels} channel(s); entropies in nats",
            "fingerprint": report.fingerprint,
            **made_by(command),
        },
    )
    return page


def entropy_figure(overall: EntropySummary, by_class: Mapping[str, EntropySummary]) -> go.Figure:
    """Draw a box for all images and one for each class: 5 to 95 %, quartiles, median and mean."""
    rows = {"all": overall, **by_class}
    # By number: names of classes may be equal, and may look like dates.
    places = list(range(len(rows)))

    def at(share: float) -> list[float]:
        return [each.quantiles[QUANTILES.index(share)] for each in rows.values()]

    box = go.Box(
        x=places,
        lowerfence=at(0.05),
        q1=at(0.25),
        median=at(0.5),
        q3=at(0.75),
        upperfence=at(0.95),
        mean=[each.mean for each in rows.values()],
        line={"color": ACCENT},
        showlegend=False,
    )
    figure = go.Figure(box)
    figure.add_hline(y=overall.mean, line={"color": MUTED, "dash": "dot", "width": 1})
    figure.update_layout(
        xaxis={"tickvals": places, "ticktext": list(rows)},
        yaxis={"title": {"text": "entropy (nats)"}, "rangemode": "tozero"},
    )
    return plain(figure)


def _row(name: str, summary: EntropySummary) -> list[str]:
    numbers = (summary.mean, summary.std, *summary.quantiles)
    return [name, f"{summary.images:,}", *(f"{number:.3f}" for number in numbers)]
