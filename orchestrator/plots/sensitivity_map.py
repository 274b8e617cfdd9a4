"""What each layer minds: a map of layers and bits, and the front of allocations."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from orchestrator.plots.drawing import FONT, INK


def sensitivity_map(
    layers: Sequence[str], bits: Sequence[int], divergences: Mapping[tuple[str, int], float]
) -> go.Figure:
    """Draw layers from top to bottom and bits from left to right, colored by magnitude.

    Args:
        layers: Names of the layers, from input to output.
        bits: Numbers of bits.
        divergences: In nats, by layer and bits.
    """
    import math

    # Below, differences are those of rounding.
    floor = 1e-5
    values = [[max(floor, divergences[layer, each]) for each in bits] for layer in layers]
    figure = go.Figure(
        go.Heatmap(
            x=[str(each) for each in bits],
            y=list(layers),
            z=[[math.log10(value) for value in row] for row in values],
            customdata=values,
            zmin=-5,
            zmax=0.5,
            colorscale="Viridis",
            xgap=1,
            ygap=1,
            colorbar={
                "title": {"text": "nats"},
                "tickvals": [-5, -4, -3, -2, -1, 0],
                "ticktext": ["0.00001", "0.0001", "0.001", "0.01", "0.1", "1"],
            },
            hovertemplate="%{y}, %{x} bits: %{customdata:.5f} nats<extra></extra>",
        )
    )
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13, "color": INK},
        height=160 + 20 * len(layers),
        margin={"t": 60, "l": 220},
        xaxis={"side": "top", "title": {"text": "bits"}, "type": "category"},
        yaxis={"autorange": "reversed"},
    )
    return figure


def allocation_front(mean_bits: Sequence[float], divergences: Sequence[float]) -> go.Figure:
    """Draw the least sum of divergences over the mean bits of a weight."""
    figure = go.Figure(
        go.Scatter(
            x=list(mean_bits),
            y=list(divergences),
            mode="lines+markers",
            hovertemplate="%{x:.2f} bits: %{y:.5f} nats<extra></extra>",
        )
    )
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 13, "color": INK},
        height=360,
        xaxis={"title": {"text": "mean bits of a weight"}},
        yaxis={"title": {"text": "sum of divergences, nats"}, "type": "log"},
    )
    return figure
