"""What is asked before a sweep, sizing and power, as self-contained pages."""

import plotly.graph_objects as go

from orchestrator.analysis.power_analysis import PowerReport
from orchestrator.analysis.sizing_rules import SizingReport
from orchestrator.plots.drawing import ACCENT, MUTED
from orchestrator.reporting.head_cells import HEADINGS, head_cells
from orchestrator.reporting.page_parts import figure_html, made_by, plain, template


def sizing_page(report: SizingReport, command: str) -> str:
    """Render the heads of every rule as HTML, with a drawing of their bytes.

    Args:
        report: The report.
        command: The command that wrote the page.
    """
    full = "synthetic" if report.synthetic else "the backbone's own"
    page: str = template("analysis.html.j2").render(
        title=f"{report.backbone}: heads for {report.classes} classes",
        verdict="What each rule makes of the head; nothing is trained.",
        notes=report.notes,
        figure=figure_html(_bytes(report), with_library=True),
        headings=HEADINGS,
        rows=head_cells(report),
        facts={
            "head": f"{report.n_features} features; the full head is {full}",
            "bits": f"{report.bits} of a convolution weight, {report.fc_bits} of an FC weight",
            **made_by(command),
        },
    )
    return page


def power_page(report: PowerReport, command: str) -> str:
    """Render the power of a grid of comparisons as HTML, with a curve for each number of seeds.

    Args:
        report: The report.
        command: The command that wrote the page.
    """
    page: str = template("analysis.html.j2").render(
        title="How many images and seeds a claim takes",
        verdict=f"How likely a network as good as the reference is shown to be not worse by "
        f"{100 * report.margin:g} points, at alpha {report.alpha:g}.",
        notes=report.notes,
        figure=figure_html(_curves(report), with_library=True),
        headings=["configurations", "images", "seeds", "power"],
        rows=[
            [f"{row.candidates:,}", f"{row.images:,}", str(row.seeds), f"{row.power:.2f}"]
            for row in report.rows
        ],
        facts={
            "assumed": f"the two differ on {100 * report.disagreement:g} % of the images",
            **made_by(command, "scipy"),
        },
    )
    return page


def _bytes(report: SizingReport) -> go.Figure:
    rules = [head.rule for head in report.heads]
    parts = {
        "backbone": ([head.memory_bytes - head.head_bytes for head in report.heads], MUTED),
        "head": ([head.head_bytes for head in report.heads], ACCENT),
    }
    figure = go.Figure(
        [
            go.Bar(x=rules, y=sizes, name=name, marker={"color": color})
            for name, (sizes, color) in parts.items()
        ]
    )
    figure.update_layout(barmode="stack", yaxis={"title": {"text": "bytes of the packed network"}})
    return plain(figure)


def _curves(report: PowerReport) -> go.Figure:
    figure = go.Figure()
    for candidates, seeds in dict.fromkeys((row.candidates, row.seeds) for row in report.rows):
        rows = [row for row in report.rows if (row.candidates, row.seeds) == (candidates, seeds)]
        figure.add_scatter(
            x=[row.images for row in rows],
            y=[row.power for row in rows],
            name=f"{seeds} seeds, {candidates} configurations",
            mode="lines+markers",
        )
    # What studies are planned for.
    figure.add_hline(y=0.8, line={"color": MUTED, "dash": "dot", "width": 1})
    figure.update_layout(
        xaxis={"title": {"text": "images"}, "type": "log"},
        yaxis={"title": {"text": "power"}, "range": [0, 1.02]},
    )
    return plain(figure)
