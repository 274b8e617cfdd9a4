"""The reuse judge's heat map: what each parameter group of each layer costs."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from orchestrator.plots.drawing import FONT, INK


def reuse_map(
    layers: Sequence[str], groups: Sequence[str], drops: Mapping[tuple[str, str], float]
) -> go.Figure:
    """Draw layers from top to bottom and groups from left to right.

    Args:
        layers: Names of the layers, from input to output.
        groups: Names of the columns.
        drops: Loss of accuracy, as a fraction, by layer and group; a missing one is left white.
    """
    points = [
        [None if (v := drops.get((layer, group))) is None else 100 * v for group in groups]
        for layer in layers
    ]
    most = max([abs(v) for row in points for v in row if v is not None], default=0.0) or 1.0
    figure = go.Figure(
        go.Heatmap(
            x=[group.replace("_", " ") for group in groups],
            y=list(layers),
            z=points,
            zmin=-most,
            zmax=most,
            # Both ends are told apart by people with every common kind of color blindness.
            colorscale="RdBu_r",
            xgap=1,
            ygap=1,
            colorbar={"title": {"text": "loss, points"}},
            hovertemplate="%{y}, %{x}: %{z:.2f} points<extra></extra>",
        )
    )
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13, "color": INK},
        height=140 + 22 * len(layers),
        margin={"t": 40, "l": 220},
        xaxis={"side": "top"},
        yaxis={"autorange": "reversed"},
    )
    return figure
