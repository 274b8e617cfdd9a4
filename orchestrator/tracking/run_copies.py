"""Copies of runs in files: out of one MLflow, into another one, under new ids.

A copy has what a run holds: its name, times and status, params, tags, every point of its metrics,
and its artifacts. Data sets and models that were logged with it are left where they are.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.tracking.mlflow_server import MlflowServer
from orchestrator.tracking.run_content import SWEEP_ID
from orchestrator.tracking.runs import Changes, MetricPoint, RunContent, RunView

RUNS = "runs.jsonl"
ARTIFACTS = "artifacts"
COPY_OF = "paretune.copy_of"
"""Tag of a run that was made from a copy: the id of its original."""

_PARENT, _NAME = "mlflow.parentRunId", "mlflow.runName"
_POINTS = 500  # in one request; MLflow allows 1,000


def export_runs(server: MlflowServer, run_ids: Iterable[str], folder: Path) -> int:
    """Write copies of runs into an existing folder; deleted and unknown ones are left out.

    Returns:
        The number of copies.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    count = 0
    with (folder / RUNS).open("w", encoding="utf-8") as file:
        for run_id in run_ids:
            run = server.run(run_id)
            if run is None or run.is_deleted:
                continue
            curve = [asdict(point) for key in run.metrics for point in server.history(run_id, key)]
            file.write(json.dumps({**asdict(run), "curve": curve}) + "\n")
            if server.files(run_id):
                artifacts = folder / ARTIFACTS / run_id
                artifacts.mkdir(parents=True)
                server.download(run_id, artifacts)
            count += 1
    return count


def import_runs(server: MlflowServer, experiment_id: str, folder: Path) -> dict[str, str]:
    """Make the runs of which a folder has copies, or complete those that are there already.

    A run that this MLflow still has is taken, out of its bin if need be. Doing it twice changes
    nothing.

    Returns:
        The ids of the runs by the ids of their originals.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    ids: dict[str, str] = {}
    made: dict[str, RunView] | None = None
    for copy in _parents_first(folder):
        old = copy["run_id"]
        run = server.run(old)
        if run is None or run.tags.get(SWEEP_ID) != copy["tags"].get(SWEEP_ID):
            made = _made(server, experiment_id, copy) if made is None else made
            run = made.get(old)
        content = _content(copy, ids)
        if run is None:
            links = {key: tag for key, tag in content.tags.items() if key.startswith("mlflow.")}
            run = server.create_run(experiment_id, content, {**links, COPY_OF: old})
        elif run.is_deleted:
            server.restore_run(run.run_id)
        _fill(server, run, content, folder / ARTIFACTS / old)
        ids[old] = run.run_id
    return ids


def _parents_first(folder: Path) -> Iterator[dict[str, Any]]:
    with (folder / RUNS).open(encoding="utf-8") as file:
        copies = [json.loads(line) for line in file]
    yield from sorted(copies, key=lambda copy: _PARENT in copy["tags"])


def _made(server: MlflowServer, experiment_id: str, copy: Mapping[str, Any]) -> dict[str, RunView]:
    """Runs that were made from copies already, by their originals; found by one search."""
    tags = {SWEEP_ID: copy["tags"][SWEEP_ID]} if SWEEP_ID in copy["tags"] else {}
    found = server.runs(experiment_id, tags, with_deleted=True)
    return {run.tags[COPY_OF]: run for run in found if COPY_OF in run.tags}


def _content(copy: Mapping[str, Any], ids: Mapping[str, str]) -> RunContent:
    tags = dict(copy["tags"])
    if _PARENT in tags:
        tags[_PARENT] = ids.get(tags[_PARENT], tags[_PARENT])
    return RunContent(
        name=tags.get(_NAME, ""),
        status=copy["status"],
        started_ms=copy["started_ms"],
        ended_ms=copy["ended_ms"],
        tags=tags,
        params=copy["params"],
        curve=[MetricPoint(**point) for point in copy["curve"]],
    )


def _fill(server: MlflowServer, run: RunView, content: RunContent, artifacts: Path) -> None:
    curve = tuple(content.curve)
    for first in range(0, len(curve), _POINTS):
        server.change(run.run_id, Changes(points=curve[first : first + _POINTS]))
    if artifacts.is_dir():
        server.upload(run.run_id, artifacts)
    # Last, so that a run that has ended is whole. The curve is there already.
    whole = RunContent(
        name=content.name,
        status=content.status,
        started_ms=content.started_ms,
        ended_ms=content.ended_ms,
        tags=content.tags,
        params=content.params,
    )
    server.bring(run, whole)
