"""What MLflow's table of a sweep's runs shows first: the objectives and axes, the front on top.

MLflow keeps a view that a person shares as a tag of the experiment, and opens it where the address
has its key. Its own default is one folded row.
"""

import json
from collections.abc import Mapping

from orchestrator.spec.stored import spec_objectives
from orchestrator.trials import SweepRecord

_TAG = "mlflow.sharedViewState."
_MOST = 5000  # characters of a tag's value


def view_key(sweep: str) -> str:
    """Return the key of a sweep's view, the value of ``viewStateShareKey`` in an address.

    >>> view_key("digits-fc")
    'paretune-digits-fc'
    """
    return f"paretune-{sweep}"


def view_tag(sweep: SweepRecord) -> tuple[str, str]:
    """Return the experiment's tag that holds a sweep's view.

    Runs are in one list, the front's first: MLflow nests them under the sweep's run only where
    they are in the order of their start.

    >>> from datetime import UTC, datetime
    >>> from orchestrator.trials import SweepState
    >>> spec = {"objectives": {"accuracy": "maximize"}, "space": {"bits": {}}}
    >>> sweep = SweepRecord("a", spec, "", SweepState.RUNNING, datetime(2026, 1, 1, tzinfo=UTC))
    >>> key, value = view_tag(sweep)
    >>> key, json.loads(value)["selectedColumns"]
    ('mlflow.sharedViewState.paretune-a', ['metrics.`accuracy`', 'tags.`pareto`', 'params.`bits`'])
    """
    space = sweep.spec.get("space")
    columns = [f"metrics.`{each.name}`" for each in spec_objectives(sweep.spec)]
    columns.append("tags.`pareto`")
    columns += [f"params.`{name}`" for name in space] if isinstance(space, Mapping) else []
    state = {"orderByKey": "tags.`front_rank`", "orderByAsc": True, "selectedColumns": columns}
    while len(value := json.dumps(state, ensure_ascii=False)) > _MOST and columns:
        columns.pop()
    return f"{_TAG}{view_key(sweep.name)}", value
