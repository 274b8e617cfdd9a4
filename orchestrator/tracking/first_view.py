"""What MLflow shows of a sweep first: its runs as a table, the front's members as charts, links.

MLflow keeps a view that a person shares as a tag of the experiment, and opens it where the address
has its key. Its own default is one folded row. Its page that compares marked runs cannot be told
what to show: it takes three params that differ and one metric (3.17). The charts of a view can.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice
from typing import Literal
from urllib.parse import urlencode

from orchestrator.spec.stored import spec_objectives
from orchestrator.tracking.run_content import FRONT_RANK, PARETO, RUN
from orchestrator.trials import SweepRecord

_TAG = "mlflow.sharedViewState."
_MOST = 5000  # characters of a tag's value
_WIDE, _SMALL = "paretune-wide", "paretune-small"  # sections of the page of charts
_AXES, _PAIRS = 12, 6  # what a chart, and a page of charts, still shows well
_RUNS = 100  # that one chart may show
# Without it MLflow 3.17 shows its pages for language models, all of them empty.
_ML = {"workflowType": "machine_learning"}


def view_address(
    sweep: str, experiment_id: str, show: Literal["list", "front", "curves"] = "list"
) -> str:
    """Return the part of an address of MLflow, from its ``#`` on, that opens a view of a sweep.

    Args:
        sweep: Name of the sweep.
        experiment_id: MLflow's id of its experiment.
        show: All runs as a list, the front's members in charts, or a chart for each metric.

    >>> view_address("digits-fc", "7")
    '#/experiments/7/runs?viewStateShareKey=paretune-digits-fc&workflowType=machine_learning'
    """
    key = _charts_key(sweep) if show == "front" else _table_key(sweep)
    asked = {"viewStateShareKey": key, **_ML}
    if show != "list":
        asked["compareRunsMode"] = "CHART"
    return f"#/experiments/{experiment_id}/runs?{urlencode(asked)}"


def page_address(experiment_id: str, run_id: str, page: str) -> str:
    """Return the part of an address of MLflow, from its ``#`` on, that opens a page of a run.

    >>> page_address("7", "ab12", "artifacts/front.html")
    '#/experiments/7/runs/ab12/artifacts/front.html?workflowType=machine_learning'
    """
    return f"#/experiments/{experiment_id}/runs/{run_id}/{page}?{urlencode(_ML)}"


def view_tags(sweep: SweepRecord, *, marked: bool) -> dict[str, str]:
    """Return the experiment's tags that hold the two views of a sweep.

    Runs are in one list, the front's first: MLflow nests them under the sweep's run only where
    they are in the order of their start.

    Args:
        sweep: The sweep.
        marked: Whether the runs of the front's members are tagged. The charts are of these, else
            of all trials.

    >>> from datetime import UTC, datetime
    >>> from orchestrator.trials import SweepState
    >>> spec = {"objectives": {"accuracy": "maximize"}, "space": {"bits": {}}}
    >>> sweep = SweepRecord("a", spec, "", SweepState.RUNNING, datetime(2026, 1, 1, tzinfo=UTC))
    >>> table, charts = view_tags(sweep, marked=True).items()
    >>> table[0], json.loads(table[1])["selectedColumns"]
    ('mlflow.sharedViewState.paretune-a', ['metrics.`accuracy`', 'tags.`pareto`', 'params.`bits`'])
    >>> charts[0], json.loads(charts[1])["compareRunCharts"][0]["selectedMetrics"]
    ('mlflow.sharedViewState.paretune-a-front', ['accuracy'])
    """
    space = sweep.spec.get("space")
    axes = list(space) if isinstance(space, Mapping) else []
    goals = [each.name for each in spec_objectives(sweep.spec)]
    return {
        f"{_TAG}{_table_key(sweep.name)}": _table(goals, axes),
        f"{_TAG}{_charts_key(sweep.name)}": _comparison(goals, axes, marked=marked),
    }


def _table_key(sweep: str) -> str:
    return f"paretune-{sweep}"


def _charts_key(sweep: str) -> str:
    return f"paretune-{sweep}-front"


def _table(goals: Sequence[str], axes: Sequence[str]) -> str:
    columns = [f"metrics.`{name}`" for name in goals]
    columns.append(f"tags.`{PARETO}`")
    columns += [f"params.`{name}`" for name in axes]
    state = {**_front_first(), "selectedColumns": columns}
    while len(value := _written(state)) > _MOST and columns:
        columns.pop()
    return value


def _comparison(goals: Sequence[str], axes: Sequence[str], *, marked: bool) -> str:
    charts = [_parallel(goals, axes[:_AXES]), *_pairs(goals)]
    state = {
        **_front_first(),
        "searchFilter": f"tags.{PARETO} = 'true'" if marked else f"tags.`{RUN}` = 'attempt'",
        "runsHiddenMode": "SHOWALL",
        "compareRunCharts": charts,
        # In the order of the alphabet, as MLflow shows sections.
        "compareRunSections": [
            {"uuid": _SMALL, "name": "Pairs of objectives", "display": True, "columns": 2},
            {"uuid": _WIDE, "name": "Parameters and objectives", "display": True, "columns": 1},
        ],
    }
    while len(value := _written(state)) > _MOST and charts:
        charts.pop()
    return value


def _parallel(goals: Sequence[str], axes: Sequence[str]) -> dict[str, object]:
    shown = {"selectedParams": axes, "selectedMetrics": goals, "showAllRuns": False}
    return {**_chart("PARALLEL", _WIDE, 0), **shown}


def _pairs(goals: Sequence[str]) -> Iterator[dict[str, object]]:
    for number, pair in enumerate(islice(combinations(goals, 2), _PAIRS)):
        x, y = ({"key": name, "type": "METRIC"} for name in pair)
        yield {**_chart("SCATTER", _SMALL, number), "xaxis": x, "yaxis": y}


def _chart(kind: str, section: str, number: int) -> dict[str, object]:
    return {
        "type": kind,
        "uuid": f"{section}-{number}",
        "metricSectionId": section,
        "runsCountToCompare": _RUNS,
        "deleted": False,
        "isGenerated": False,
    }


def _front_first() -> dict[str, object]:
    return {"orderByKey": f"tags.`{FRONT_RANK}`", "orderByAsc": True}


def _written(state: Mapping[str, object]) -> str:
    return json.dumps(state, ensure_ascii=False)
