"""How much layers mind few bits, in words, as a table and as a page."""

import json
from typing import TYPE_CHECKING

from orchestrator.plots.sensitivity_map import allocation_front, sensitivity_map

if TYPE_CHECKING:
    from orchestrator.analysis.sensitivity_analysis import SensitivityReport
    from trainers.quantization.sensitivity import LayerSensitivity

_TOGETHER = 3
_DIVERGENCE = "divergence of the predictions in nats, of each layer alone"


def sentences(report: "SensitivityReport") -> list[str]:
    """Return what is to be read before the table."""
    fewest = report.bits[0]
    worst = max(report.layers, key=lambda layer: layer.alone[fewest].divergence)
    weights = sum(layer.weights for layer in report.layers)
    how = f"{report.quantizer} levels, step {report.step}, a {report.scope} each"
    if report.rounding != "nearest":
        how += f", codes by {report.rounding}"
    if report.by != "divergence":
        how += f"; estimated by {report.by}"
    return [
        f"{report.network} on {report.data}: {len(report.layers)} layers, {weights:,} weights; "
        f"{report.images} training images; {how}.",
        f"At {fewest} bits {worst.name} alone changes the predictions most: by "
        f"{worst.alone[fewest].divergence:.3f} nats.",
    ]


def headings(report: "SensitivityReport") -> list[str]:
    """Return the columns of the table; only the fewest bits are shown together with others."""
    alone = [f"{bits} bits" for bits in report.bits]
    together = [f"up to, {bits}" for bits in [*report.layers[0].cumulative][:_TOGETHER]]
    return ["bits_N", "layer", "weights", *alone, *together]


def rows(report: "SensitivityReport") -> list[list[str]]:
    """Return a row for each layer, under `headings`."""
    return [_row(layer) for layer in report.layers]


def _row(layer: "LayerSensitivity") -> list[str]:
    number = "fc" if layer.number is None else str(layer.number)
    changes = [*layer.alone.values(), *[*layer.cumulative.values()][:_TOGETHER]]
    return [
        number,
        layer.name,
        f"{layer.weights:,}",
        *(f"{max(0.0, change.divergence):.4f}" for change in changes),
    ]


FRONT_HEADINGS = ("mean bits", "bytes", "divergence", "bits of each convolution, then FC")


def front_rows(report: "SensitivityReport") -> list[list[str]]:
    """Return a row for each allocation of the front, under `FRONT_HEADINGS`."""
    return [
        [
            f"{each.mean_bits:.2f}",
            f"{each.memory_bytes:,}",
            f"{each.divergence:.4f}",
            " ".join(map(str, (*each.layer_bits.values(), each.fc_bits))),
        ]
        for each in report.front
    ]


def sensitivity_page(report: "SensitivityReport", command: str) -> str:
    """Render the sensitivities as one HTML page that needs no network."""
    from orchestrator.reporting.page_parts import figure_html, made_by, template

    names = [layer.name for layer in report.layers]
    alone = {
        (layer.name, bits): change.divergence
        for layer in report.layers
        for bits, change in layer.alone.items()
    }
    figures = [figure_html(sensitivity_map(names, report.bits, alone), with_library=True)]
    if report.front:
        drawn = allocation_front(
            [each.mean_bits for each in report.front], [each.divergence for each in report.front]
        )
        figures.append(figure_html(drawn, with_library=False))
    facts = {key: v for key, v in report.as_json().items() if key not in ("layers", "front")}
    page: str = template("sensitivity.html.j2").render(
        title=f"Sensitivity of {report.network} to few bits",
        sentences=sentences(report),
        notes=report.notes,
        legend=_DIVERGENCE,
        figures=figures,
        headings=headings(report),
        rows=rows(report),
        front_headings=FRONT_HEADINGS,
        front_rows=front_rows(report),
        facts=json.dumps(facts | made_by(command, "torch"), indent=2),
    )
    return page
