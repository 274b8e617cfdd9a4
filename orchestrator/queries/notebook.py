"""A sweep as a notebook shows it."""

from collections.abc import Mapping, Sequence
from html import escape

from orchestrator.fronts.notebook import html_table
from orchestrator.objectives import Objective, arrow
from orchestrator.trials import SweepRecord


def sweep_html(
    record: SweepRecord, counts: Mapping[str, int], objectives: Sequence[Objective]
) -> str:
    """Write where a sweep stands: its state, its trials by state, its objectives.

    >>> from datetime import UTC, datetime
    >>> from orchestrator.trials import SweepState
    >>> record = SweepRecord("<b>", {}, "f", SweepState.COMPLETE, datetime(2026, 1, 2, tzinfo=UTC))
    >>> "<b>" in sweep_html(record, {}, [])
    False
    """
    listed = ", ".join(f"{count} {state}" for state, count in counts.items())
    facts = [
        ["state", f"{record.state.value}{f': {record.stop_reason}' * bool(record.stop_reason)}"],
        ["trials", listed or "none yet"],
        ["objectives", ", ".join(map(arrow, objectives))],
        ["created", f"{record.created:%Y-%m-%d %H:%M} UTC"],
    ]
    return f"<p>{escape(f'Sweep {record.name}')}</p>{html_table(['', ''], facts)}"
