"""What a line of a log holds in both forms."""

import json
import logging
import sys

import pytest

from orchestrator.logs.catching import LineCatcher
from orchestrator.logs.lines import JsonLines, Line, Subject, TextLines, about, line_of

FIELDS = ("sweep", "trial", "attempt", "node", "worker")


def record(text: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("trainers.x", logging.INFO, "", 0, text, (), None)
    made.created = 1.5
    made.__dict__.update(extra)
    return made


def test_a_line_in_json_has_every_field_also_where_none_applies() -> None:
    line = json.loads(JsonLines("a").format(record("hello")))
    assert line["time"] == "1970-01-01T00:00:01.500Z"
    assert (line["level"], line["message"], line["logger"]) == ("INFO", "hello", "trainers.x")
    assert (line["sweep"], line["trial"], line["attempt"]) == ("a", None, None)
    assert line["node"]
    assert line["worker"].startswith("driver:")


def test_a_line_is_about_the_subject_that_it_was_given() -> None:
    subject = Subject("b", 3, 1, "5e2f", "10.0.0.7:4711")
    line = json.loads(JsonLines("a").format(record("x", subject=subject, facts={"event": "e"})))
    assert [line[field] for field in FIELDS] == ["b", 3, 1, "5e2f", "10.0.0.7:4711"]
    assert line["event"] == "e"
    text = TextLines("a").format(record("x", subject=subject))
    assert text == (
        "1970-01-01T00:00:01.500Z INFO sweep=b trial=3 attempt=1 node=5e2f worker=10.0.0.7:4711 x"
    )


def test_a_line_without_a_subject_is_about_what_its_thread_works_at() -> None:
    with about(3, 1):
        line = json.loads(JsonLines("a").format(record("x")))
    assert (line["trial"], line["attempt"]) == (3, 1)


@pytest.mark.parametrize("form", [JsonLines, TextLines])
def test_a_password_is_in_no_line_and_in_no_traceback(form: type[logging.Formatter]) -> None:
    try:
        raise OSError("http://me:s3cret@mlflow:5000 is away")
    except OSError:
        text = form("a").format(  # type: ignore[call-arg]
            record("postgresql://me:s3cret@db/x", exc_info=sys.exc_info())
        )
    assert "OSError" in text
    assert "s3cret" not in text


def test_what_a_worker_logs_is_kept_until_it_is_taken() -> None:
    catcher = LineCatcher()
    try:
        with about(2, 0):
            logging.getLogger("trainers.stages").warning("the cache is %s", "away")
        logging.getLogger("another").warning("not ours")
        (line,) = catcher.taken()
        assert (line.text, line.trial, line.attempt) == ("the cache is away", 2, 0)
        assert catcher.taken() == ()
    finally:
        catcher.close()


def test_a_process_whose_worker_is_gone_logs_what_it_logged_before() -> None:
    ours = logging.getLogger("orchestrator")
    before = ours.level, list(ours.handlers)
    catcher = LineCatcher()
    assert ours.level == logging.INFO
    catcher.close()
    assert (ours.level, list(ours.handlers)) == before


def test_of_a_flood_the_latest_lines_are_kept_and_the_rest_is_counted() -> None:
    catcher = LineCatcher()
    try:
        for number in range(250):
            logging.getLogger("trainers.x").info("%d", number)
        lines = catcher.taken()
    finally:
        catcher.close()
    assert len(lines) == 201
    assert lines[0].text == "50 earlier lines of this worker were dropped"
    assert lines[-1].text == "249"


def test_a_line_that_cannot_be_made_is_dropped_and_raises_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    catcher = LineCatcher()
    try:
        logging.getLogger("trainers.x").info("a number is %d", "none")
        (line,) = catcher.taken()
    finally:
        catcher.close()
    assert line.text == "1 earlier lines of this worker were dropped"


def test_a_line_that_a_worker_sent_keeps_its_traceback() -> None:
    sent = record("x", sent_traceback="Traceback: here")
    assert line_of(sent) == Line(1.5, logging.INFO, "trainers.x", "x", traceback="Traceback: here")
