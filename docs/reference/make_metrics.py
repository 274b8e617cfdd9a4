"""Write the table in ``metrics.md`` from the code: ``python docs/reference/make_metrics.py``."""

from pathlib import Path

from orchestrator.metrics.table import METRICS

TARGET = Path(__file__).with_name("metrics.md")
_BEGIN, _END = "<!-- table -->\n", "<!-- end of the table -->\n"


def page(text: str) -> str:
    """Give the page with the table as it has to be."""
    head, _, rest = text.partition(_BEGIN)
    return head + _BEGIN + table() + _END + rest.partition(_END)[2]


def table() -> str:
    """Give the table of metrics."""
    rows = [
        f"| `{each.name}` | {each.kind} | {each.unit} | "
        f"{', '.join(f'`{label}`' for label in each.labels)} | {each.meaning} |\n"
        for each in METRICS.values()
    ]
    return "| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n" + "".join(rows)


if __name__ == "__main__":
    TARGET.write_text(page(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
