"""The heads that sizing rules give, as text for a table: on the screen and on a page."""

from orchestrator.analysis.sizing_rules import SizingReport
from orchestrator.quantities import human

HEADINGS = ("rule", "widths", "head params", "saved", "head", "memory")
"""Of the columns of `head_cells`."""


def head_cells(report: SizingReport) -> list[list[str]]:
    """Return a row for each head.

    >>> from orchestrator.analysis.sizing_rules import size_heads
    >>> head_cells(size_heads("digitnet", 10, bits=8, fc_bits=8))[0][:4]
    ['full', '256, 128', '181,898', '0.0 %']
    """
    return [
        [
            head.rule,
            ", ".join(map(str, head.widths)),
            f"{head.head_params:,}",
            human("saved_fraction", head.head_saving),
            human("head_bytes", head.head_bytes),
            human("memory_bytes", head.memory_bytes),
        ]
        for head in report.heads
    ]
