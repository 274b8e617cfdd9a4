"""The thread that mirrors beside the sweep, on a mirror that can be taken away."""

import threading
import time

from orchestrator.errors import OrchestratorError
from orchestrator.tracking import BackgroundMirror, NoMirror, TrackingError
from orchestrator.tracking.background import Rhythm

QUICK = Rhythm(first_s=0.01, period_s=0.01, breath_s=0.0, longest_pause_s=0.02, batch=3)


class Line:
    """A mirror with marks to copy, which can be away, slow or faulty."""

    def __init__(self, marks=0):
        self.left = marks
        self.fault = None
        self.hold = threading.Event()
        self.hold.set()
        self.tries = 0

    def drain(self, sweep, *, limit=None):
        self.tries += 1
        self.hold.wait()
        if self.fault:
            raise self.fault
        done = min(self.left, limit)
        self.left -= done
        return done

    def pending(self, sweep):
        return self.left


def until(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_everything_marked_is_mirrored_before_it_closes():
    line, heard = Line(marks=10), []
    mirror = BackgroundMirror(line, "s", on_trouble=heard.append)  # nothing is due before closing
    assert mirror.close(timeout_s=300) == 0
    assert heard == []


def test_an_outage_is_told_once_and_its_end_once():
    line, heard = Line(marks=4), []
    line.fault = TrackingError("MLflow at http://m:5000 did not answer")
    mirror = BackgroundMirror(line, "s", on_trouble=heard.append, rhythm=QUICK)
    until(lambda: line.tries > 3)
    assert len(heard) == 1
    assert "http://m:5000" in heard[0]
    line.fault = None
    until(lambda: line.left == 0)
    assert mirror.close(timeout_s=300) == 0
    assert len(heard) == 2
    assert "again" in heard[1]


def test_a_server_that_stays_away_leaves_its_marks():
    line, heard = Line(marks=4), []
    line.fault = TrackingError("away")
    mirror = BackgroundMirror(line, "s", on_trouble=heard.append, rhythm=QUICK)
    assert mirror.close(timeout_s=300) == 4
    assert len(heard) == 1


def test_closing_does_not_wait_for_a_request_that_hangs():
    line = Line(marks=4)
    line.hold.clear()
    mirror = BackgroundMirror(line, "s", on_trouble=lambda _: None, rhythm=QUICK)
    until(lambda: line.tries)
    assert mirror.close(timeout_s=0.05) == 4
    line.hold.set()


def test_a_fault_of_the_mirror_does_not_end_the_thread():
    line, heard = Line(marks=4), []
    line.fault = ZeroDivisionError("a bug")
    mirror = BackgroundMirror(line, "s", on_trouble=heard.append, rhythm=QUICK)
    until(lambda: line.tries > 2)
    line.fault = None
    assert mirror.close(timeout_s=300) == 0
    assert "ZeroDivisionError: a bug" in heard[0]


def test_a_store_that_is_away_is_said_in_a_sentence_and_not_with_a_traceback(caplog):
    line, heard = Line(marks=4), []
    line.fault = OrchestratorError("The store at postgresql://db failed: it restarts.")
    mirror = BackgroundMirror(line, "s", on_trouble=heard.append, rhythm=QUICK)
    until(lambda: line.tries > 2)
    line.fault = None
    assert mirror.close(timeout_s=300) == 0
    assert heard[0].startswith(
        "The store at postgresql://db failed: it restarts. The trials go on"
    )
    assert not caplog.records


def test_no_mirror_has_nothing_to_do():
    assert BackgroundMirror(NoMirror(), "s", on_trouble=lambda _: None).close(timeout_s=300) == 0


def test_it_begins_when_it_is_told_to_and_not_before():
    line = Line(marks=3)
    late = Rhythm(first_s=600, period_s=600, breath_s=0.0, batch=3)
    mirror = BackgroundMirror(line, "s", on_trouble=print, rhythm=late)
    time.sleep(0.05)
    assert line.tries == 0
    mirror.begin()
    until(lambda: line.left == 0)
    assert mirror.close(timeout_s=300) == 0
