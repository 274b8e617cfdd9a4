"""What the reuse judge found, in words, as a table and as a page."""

import json
import statistics
from typing import TYPE_CHECKING

from orchestrator.analysis.reuse_verdict import ARMS, BASIS
from orchestrator.plots.reuse_map import reuse_map

if TYPE_CHECKING:
    from orchestrator.analysis.reuse_analysis import LayerReport, ReuseReport

_TOLD = {
    "freeze": "reuse and freeze",
    "tune": "reuse and tune",
    "reinitialize": "re-initialize",
}


def sentences(report: "ReuseReport") -> list[str]:
    """Return what is to be read before the table."""
    network = report.network
    means = {name: f"{100 * statistics.fmean(getattr(network, name)):.2f} %" for name in ARMS}
    wanted = f" (at least {report.thresholds.network:g} wanted)"
    counts = {fate: sum(layer.verdict == fate for layer in report.layers) for fate in _TOLD}
    return [
        f"{report.backbone}: {report.source} for {report.target} on {report.data}; "
        f"{report.train_images:,} training and {report.val_images:,} validation images, "
        f"{len(network.own)} seed{'s' if len(network.own) > 1 else ''}, {report.budget.epochs} "
        f"epoch{'s' if report.budget.epochs > 1 else ''}.",
        f"The network is {'' if network.reusable else 'not '}reusable.",
        f"Kernels frozen, norms and head trained: source's kernels {means['reuse']}, random ones "
        f"{means['random']} (p {_p(network.p_random)}), target's own {means['own']} "
        f"(p {_p(network.p_own)}); {_retention(network.retention, wanted)}.",
        f"Everything trained: from the source {means['tuned']}, from scratch {means['scratch']} "
        f"(p {_p(network.p_tuned)}).",
        f"Frozen kernels of the source against scratch: p {_p(network.p_scratch)}; "
        f"{_retention(network.retention_scratch)}.",
        "Layers: " + ", ".join(f"{count} {_TOLD[fate]}" for fate, count in counts.items()) + ".",
        f"({BASIS}.)",
    ]


def _retention(value: float | None, wanted: str = "") -> str:
    return "retention not defined" if value is None else f"retention {value:.3f}{wanted}"


def headings(report: "ReuseReport") -> list[str]:
    """Return the columns of the table; accuracies are lost points."""
    modes = list(report.layers[0].tests)
    return [
        "layer",
        *("rmse", "/ std", "null", "of null"),
        *(
            f"{part}{'' if mode == 'replace' else ' ' + mode}"
            for mode in modes
            for part in (
                "drop",
                "p",
                *(["prefix"] if mode in report.layers[0].prefix_drops else []),
            )
        ),
        *(group.replace("_", " ") for group in _groups(report)),
        "verdict",
    ]


def rows(report: "ReuseReport") -> list[list[str]]:
    """Return a row for each layer, under `headings`."""
    return [_row(layer, _groups(report)) for layer in report.layers]


def _row(layer: "LayerReport", groups: list[str]) -> list[str]:
    distance = layer.distance
    cells = [
        layer.name,
        f"{distance.rmse:.4f}",
        f"{distance.normalized:.3f}",
        f"{distance.null_permuted:.4f}",
        f"{distance.ratio:.2f}",
    ]
    for mode, test in layer.tests.items():
        cells += [_points(test.drop), _p(test.p)]
        cells += [_points(layer.prefix_drops[mode])] if mode in layer.prefix_drops else []
    cells += [_points(layer.groups[g]) if g in layer.groups else "" for g in groups]
    return [*cells, _TOLD[layer.verdict]]


def _groups(report: "ReuseReport") -> list[str]:
    return list(dict.fromkeys(group for layer in report.layers for group in layer.groups))


def _points(drop: float) -> str:
    # Not "-0.00", of a difference in the last bit.
    return f"{round(100 * drop, 2) + 0:.2f}"


def _p(p: float | None) -> str:
    if p is None:
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def reuse_page(report: "ReuseReport", command: str) -> str:
    """Render the judgement as one HTML page that needs no network: heat map, table, facts.

    Args:
        report: The report.
        command: The command that wrote the page.
    """
    from orchestrator.reporting.page_parts import figure_html, made_by, template

    drops = {
        (layer.name, group): drop
        for layer in report.layers
        for group, drop in layer.groups.items()
    }
    columns = _groups(report)
    for layer in report.layers:
        for mode, test in layer.tests.items():
            drops[layer.name, f"layer, {mode}"] = test.drop
        for mode, drop in layer.prefix_drops.items():
            drops[layer.name, f"prefix, {mode}"] = drop
    first = report.layers[0]
    for mode in first.tests:
        columns += [f"layer, {mode}"]
        columns += [f"prefix, {mode}"] if mode in first.prefix_drops else []
    figure = reuse_map([layer.name for layer in report.layers], columns, drops)
    facts = {key: value for key, value in report.as_json().items() if key != "layers"}
    page: str = template("reuse.html.j2").render(
        title=f"Reuse of {report.backbone}",
        sentences=sentences(report),
        notes=report.notes,
        figure=figure_html(figure, with_library=True),
        headings=headings(report),
        rows=rows(report),
        facts=json.dumps(facts | made_by(command, "torch"), indent=2),
    )
    return page
