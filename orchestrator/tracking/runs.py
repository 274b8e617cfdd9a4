"""A run as it should be, a run as MLflow has it, and their difference, within MLflow's limits.

The mirror is state-based: it computes a `RunContent` from the store, reads the run as it is
(`RunView`), and sends the difference (`Changes`). Doing that twice sends nothing the second time.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TypeVar

LOGGED_STEPS = "paretune.logged_steps"  # the last step of the curve that MLflow holds

# MLflow allows 100 params, 100 tags, 1,000 metrics and a megabyte in a request.
_PARAMS_PER_BATCH = _TAGS_PER_BATCH = 50
_POINTS_PER_BATCH = 500
_KEY_LENGTH, _PARAM_LENGTH, _TAG_LENGTH = 250, 6_000, 5_000

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One value of a metric; the time is in milliseconds since 1970, UTC."""

    key: str
    value: float
    timestamp_ms: int
    step: int


@dataclass(frozen=True, slots=True)
class RunContent:
    """What a run should contain.

    Attributes:
        name: The displayed name.
        status: Its status in MLflow's terms.
        started_ms: Milliseconds since 1970, UTC.
        ended_ms: Milliseconds since 1970, UTC; None while it runs.
        tags: Tags, within MLflow's limits.
        params: Params, within MLflow's limits.
        curve: Points by ascending step, each sent once.
        latest: Points that are sent if the newest value of their metric differs.
    """

    name: str
    status: str
    started_ms: int
    ended_ms: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    curve: Sequence[MetricPoint] = ()
    latest: Sequence[MetricPoint] = ()


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as MLflow has it; `metrics` holds the newest value of each."""

    run_id: str
    status: str
    started_ms: int = 0
    ended_ms: int | None = None
    is_deleted: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """What one request adds to a run."""

    points: tuple[MetricPoint, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


def missing_from(run: RunView, content: RunContent) -> list[Changes]:
    """Return the requests that bring `run` to `content`; none if it is there already.

    >>> content = RunContent("digits", "RUNNING", 0, tags={"state": "running"})
    >>> run = RunView("id", "RUNNING", tags={"state": "running"})
    >>> missing_from(run, content), len(missing_from(RunView("id", "RUNNING"), content))
    ([], 1)
    """
    logged = int(run.tags.get(LOGGED_STEPS, "-1"))
    curve = [point for point in content.curve if point.step > logged]
    latest = [point for point in content.latest if run.metrics.get(point.key) != point.value]
    # MLflow never changes a param: one that differs (a budget that grew) keeps its first value.
    params = [item for item in content.params.items() if item[0] not in run.params]
    tags = [(key, text) for key, text in content.tags.items() if run.tags.get(key) != text]
    requests = [
        Changes(points or (), some_params or (), some_tags or ())
        for points, some_params, some_tags in zip_longest(
            _chunks([*curve, *latest], _POINTS_PER_BATCH),
            _chunks(params, _PARAMS_PER_BATCH),
            _chunks(tags, _TAGS_PER_BATCH),
        )
    ]
    if curve:
        # Set in the last request: after a crash before it, the points are sent again, and MLflow
        # drops those that it already has (same key, step, time and value).
        mark = (LOGGED_STEPS, str(curve[-1].step))
        requests[-1] = replace(requests[-1], tags=(*requests[-1].tags, mark))
    return requests


def points(values: Mapping[str, float], timestamp_ms: int, step: int) -> Iterator[MetricPoint]:
    """Yield points of the finite values: MLflow stores a NaN as 0 and an infinity as 1.8e308.

    >>> [point.value for point in points({"loss": math.nan, "accuracy": 0.9}, 0, step=1)]
    [0.9]
    """
    for name, value in values.items():
        if math.isfinite(value):
            yield MetricPoint(_safe_key(name), float(value), timestamp_ms, step)


def _safe_key(key: str) -> str:
    """Convert a key to one that MLflow accepts: word characters and ``-. :``, at most 250."""
    return re.sub(r"[^\w.\- :]", "_", key)[:_KEY_LENGTH]


def safe_params(params: Mapping[str, object]) -> dict[str, str]:
    """Convert params to text, with the keys and the lengths that MLflow allows.

    >>> {key: len(text) for key, text in safe_params({"lr": 0.1, "note": "x" * 10_000}).items()}
    {'lr': 3, 'note': 6000}
    """
    return {_safe_key(key): _cut(str(value), _PARAM_LENGTH) for key, value in params.items()}


def safe_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Convert tags to the keys and the lengths that MLflow allows, without empty ones.

    >>> safe_tags({"state": "running", "stop_reason": ""})
    {'state': 'running'}
    """
    return {_safe_key(key): _cut(text, _TAG_LENGTH) for key, text in tags.items() if text}


def json_tags(key: str, value: object) -> dict[str, str]:
    """Write a value as JSON in one tag, or in several (``key.1``, ``key.2``) if it is too long.

    >>> json_tags("params", {"bits": 4})
    {'params': '{"bits": 4}'}
    >>> list(json_tags("params", "x" * 10_000))
    ['params', 'params.1', 'params.2']
    """
    text = json.dumps(value, sort_keys=False)
    parts = [text[at : at + _TAG_LENGTH] for at in range(0, len(text), _TAG_LENGTH)]
    return {key if part == 0 else f"{key}.{part}": some for part, some in enumerate(parts)}


def from_json_tags(tags: Mapping[str, str], key: str) -> object:
    """Read the value that `json_tags` wrote, or None if there is none.

    >>> from_json_tags(json_tags("params", {"bits": 4}), "params")
    {'bits': 4}
    >>> from_json_tags({}, "params") is None
    True
    """
    if key not in tags:
        return None
    parts = [tags[key]]
    while f"{key}.{len(parts)}" in tags:
        parts.append(tags[f"{key}.{len(parts)}"])
    return json.loads("".join(parts))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _chunks(items: Sequence[_Item], size: int) -> Iterator[tuple[_Item, ...]]:
    for at in range(0, len(items), size):
        yield tuple(items[at : at + size])
