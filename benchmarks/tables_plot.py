"""Anytime curves of `bench_tables`, as a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

_SMALLEST = 1e-4


def write_plot(
    found: Mapping[tuple[str, str], Mapping[int, Mapping[str, Any]]], path: Path
) -> None:
    """Draw for each table what was missing of the front's volume over time: medians of seeds."""
    tables = list(dict.fromkeys(table for table, _ in found))
    figure = make_subplots(rows=len(tables), cols=1, subplot_titles=tables)
    colors: dict[str, int] = {}
    for (table, side), runs in found.items():
        if not runs:
            continue
        curves = np.array([run["curve"] for run in runs.values()])
        missing = np.maximum(1 - np.median(curves, axis=0), _SMALLEST)
        is_new = side not in colors
        color = f"hsl({47 * colors.setdefault(side, len(colors)) % 360}, 65%, 45%)"
        share = np.linspace(0, 1, curves.shape[1] + 1)[1:]
        drawn = go.Scatter(x=share, y=missing, name=side, showlegend=is_new, legendgroup=side)
        figure.add_trace(drawn, row=tables.index(table) + 1, col=1)
        figure.data[-1].line.color = color
    figure.update_yaxes(type="log", title="missing of the front's volume")
    figure.update_xaxes(title="share of the simulated seconds")
    figure.update_layout(height=380 * len(tables) + 80)
    figure.write_html(path)
