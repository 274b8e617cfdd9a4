"""Records as a pandas table."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def frame_of(records: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """Build a table with one row per record such as `FrontMember.as_json`.

    Parameters and values become columns. A parameter with the name of a value or of another
    column is called ``params.NAME``.

    >>> record = {"sweep": "s", "trial": 3, "params": {"bits": 4}, "values": {"accuracy": 0.9}}
    >>> frame_of([record]).columns.tolist()
    ['sweep', 'trial', 'bits', 'accuracy']
    """
    import pandas as pd

    rows = []
    for record in records:
        values = record["values"]
        rest = {key: item for key, item in record.items() if key not in ("params", "values")}
        taken = rest.keys() | values.keys()
        params = {(f"params.{k}" if k in taken else k): v for k, v in record["params"].items()}
        ids = {key: rest[key] for key in ("sweep", "trial")}
        rows.append({**ids, **params, **values, **rest})
    return pd.DataFrame(rows)
