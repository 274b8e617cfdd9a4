"""Capacity and similarity of sized heads as one self-contained page."""

from typing import Any

import plotly.graph_objects as go

from orchestrator.analysis.heads_analysis import HeadsReport
from orchestrator.plots.drawing import ACCENT
from orchestrator.reporting.page_parts import figure_html, made_by, plain, template


def heads_page(report: HeadsReport, command: str) -> str:
    """Render a report as HTML, with a drawing.

    Args:
        report: The report.
        command: The command that wrote the page.
    """
    is_capacity = report.question == "capacity"
    headings, rows = cells(report)
    figure = _capacities(report) if is_capacity else _map(report)
    page: str = template("analysis.html.j2").render(
        title=f"{report.data}: {report.question} of heads on {report.backbone}",
        verdict=(
            "How many training images a head can fit without an error."
            if is_capacity
            else "Linear CKA of hidden features: 1 is equal but for a rotation."
        ),
        notes=report.notes,
        figure=figure_html(figure, with_library=True),
        headings=headings,
        rows=rows,
        facts={
            "fingerprint": report.fingerprint,
            **{name.replace("_", " "): str(value) for name, value in report.settings.items()},
            **made_by(command, "torch"),
        },
    )
    return page


def cells(report: HeadsReport) -> tuple[list[str], list[list[str]]]:
    """Return the headings and the cells of a report's table, as text."""
    if report.question == "capacity":
        headings = ["width", "parameters", "images", "lowest", "highest", "images/parameter"]
        return headings, [
            [
                str(row["width"]),
                f"{row['parameters']:,}",
                f"{'' if row['is_bounded'] else '>= '}{row['images']:,.0f}",
                f"{row['lowest']:,}",
                f"{row['highest']:,}",
                f"{row['images_per_parameter']:.3f}",
            ]
            for row in report.rows
        ]
    return ["width", "and", "CKA", "lowest", "highest", "joined"], [
        [
            str(row["width"]),
            str(row["other_width"]),
            *(f"{row[name]:.3f}" if name in row else "-" for name in _NUMBERS),
        ]
        for row in report.rows
    ]


_NUMBERS = ("cka", "lowest", "highest", "joined")


def _capacities(report: HeadsReport) -> go.Figure:
    rows = report.rows
    figure = go.Figure(
        go.Scatter(
            x=[row["width"] for row in rows],
            y=[row["images"] for row in rows],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [row["highest"] - row["images"] for row in rows],
                "arrayminus": [row["images"] - row["lowest"] for row in rows],
            },
            line={"color": ACCENT},
        )
    )
    figure.update_layout(
        xaxis={"title": "width", "type": "log"}, yaxis={"title": "images", "type": "log"}
    )
    return plain(figure)


def _map(report: HeadsReport) -> go.Figure:
    found: dict[tuple[int, int], Any] = {}
    for row in report.rows:
        found[row["width"], row["other_width"]] = row.get("cka")
        found[row["other_width"], row["width"]] = row.get("cka")
    widths = sorted({width for width, _ in found})
    names = [str(width) for width in widths]
    values = [[found[one, other] for other in widths] for one in widths]
    figure = go.Figure(go.Heatmap(z=values, x=names, y=names, zmin=0, zmax=1, colorscale="Blues"))
    figure.update_layout(
        xaxis={"type": "category", "title": "width"}, yaxis={"type": "category", "title": "width"}
    )
    return plain(figure)
