"""The difference between a run as it should be and as it is."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.tracking.runs import (
    Changes,
    MetricPoint,
    RunContent,
    RunView,
    from_json_tags,
    json_tags,
    missing_from,
    points,
    safe_params,
    safe_tags,
)

names = st.text("abc.", min_size=1, max_size=3)
finite = st.floats(allow_nan=False, allow_infinity=False)
contents = st.builds(
    RunContent,
    name=st.just("trial 0"),
    status=st.just("RUNNING"),
    started_ms=st.just(0),
    tags=st.dictionaries(names, st.text(max_size=5), max_size=120),
    params=st.dictionaries(names, st.text(max_size=5), max_size=120),
    curve=st.lists(st.tuples(names, finite), max_size=1_200).map(
        lambda rows: [
            MetricPoint(key, value, step, step) for step, (key, value) in enumerate(rows)
        ]
    ),
    latest=st.dictionaries(names, finite).map(
        lambda values: [MetricPoint(key, value, 9_999, 9_999) for key, value in values.items()]
    ),
)


def after(run: RunView, request: Changes) -> RunView:
    """What MLflow makes of one request."""
    return replace(
        run,
        tags={**run.tags, **dict(request.tags)},
        params={**run.params, **dict(request.params)},
        metrics={**run.metrics, **{point.key: point.value for point in request.points}},
    )


@pytest.mark.slow
@given(contents)
def test_what_was_sent_is_not_sent_again(content):
    run = RunView("1", "RUNNING")
    for request in missing_from(run, content):
        run = after(run, request)
    assert missing_from(run, content) == []


@pytest.mark.slow
@given(contents)
def test_every_request_is_within_the_limits_of_mlflow(content):
    for request in missing_from(RunView("1", "RUNNING"), content):
        assert len(request.points) <= 1_000
        assert len(request.params) <= 100
        assert len(request.tags) <= 100


@pytest.mark.slow
@given(contents, st.integers(0, 30))
def test_a_crash_between_two_requests_loses_no_point(content, sent):
    run, received = RunView("1", "RUNNING"), []
    first = missing_from(run, content)[:sent]
    for request in first:
        run, received = after(run, request), [*received, *request.points]
    for request in missing_from(run, content):
        run, received = after(run, request), [*received, *request.points]
    assert set(content.curve) <= set(received)


def test_only_epochs_that_mlflow_lacks_are_sent():
    curve = [MetricPoint("loss", 1.0 / step, step, step) for step in (1, 2, 3)]
    content = RunContent("trial 0", "RUNNING", 0, curve=curve[:2])
    run = RunView("1", "RUNNING")
    for request in missing_from(run, content):
        run = after(run, request)
    (request,) = missing_from(run, replace(content, curve=curve))
    assert request.points == (curve[2],)


def test_a_param_that_mlflow_has_is_left_alone():
    run = RunView("1", "RUNNING", params={"budget.trials": "48"})
    content = RunContent("digits-fc", "RUNNING", 0, params={"budget.trials": "96"})
    assert missing_from(run, content) == []


def test_a_point_that_is_no_number_is_not_sent():
    values = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.5}
    assert [point.key for point in points(values, 0, 1)] == ["d"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | finite | st.text(max_size=9_000),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=6,
    )
)
@pytest.mark.slow
def test_json_tags_are_read_as_they_were_written(value):
    tags = {"other": "1", **json_tags("paretune.params", value)}
    assert from_json_tags(tags, "paretune.params") == value
    assert all(len(text) <= 5_000 for text in tags.values())


def test_json_that_is_not_there_is_none():
    assert from_json_tags({"paretune.params.1": "2"}, "paretune.params") is None


def test_keys_and_texts_are_cut_to_what_mlflow_takes():
    params = safe_params({"a/b\nc": "x" * 6_001, "k" * 300: True})
    assert set(params) == {"a_b_c", "k" * 250}
    assert len(params["a_b_c"]) == 6_000
    assert params["a_b_c"].endswith("…")
    assert safe_tags({"empty": "", "long": "y" * 5_001})["long"] == "y" * 4_999 + "…"
    assert "empty" not in safe_tags({"empty": ""})
