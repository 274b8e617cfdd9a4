"""The report that a finished run leaves in MLflow."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from orchestrator.contracts import Outcome, Silent, Store
from orchestrator.driver.running import run
from orchestrator.reporting import sweep_report
from orchestrator.storage import open_store
from orchestrator.trials import SweepState, TrialState
from tests.orchestrator.driver.test_running import Played, make_spec

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]


class Notes(Silent):
    """Collects the notes that are shown."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = open_store()
    yield store
    store.close()


def reports(folder: Path) -> list[str]:
    return [page.read_text(encoding="utf-8") for page in folder.rglob("report.html")]


def test_a_complete_run_leaves_its_report_beside_its_front(store: Store, tmp_path: Path) -> None:
    notes = Notes()
    assert (
        run(make_spec(tracking={}), store=store, executor=Played(), progress=notes).complete == 6
    )
    (page,) = reports(tmp_path)
    assert "3 of 6 complete trials are on the Pareto front" in page
    assert "How this was made" in page
    assert "<script src=" not in page
    assert not any("no report" in text for text in notes.told)
    assert list(tmp_path.rglob("looks.jsonl")) == [], "an automatic report is no look"


def test_an_interrupted_run_leaves_none(store: Store, tmp_path: Path) -> None:
    def cut(_job: object) -> NoReturn:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(make_spec(tracking={}), store=store, executor=Played(before=cut))
    assert reports(tmp_path) == []


@pytest.mark.parametrize("fault", ["the page", "its length"])
def test_a_report_that_cannot_be_made_costs_a_run_a_sentence_and_no_more(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError("of nothing")

    if fault == "the page":
        monkeypatch.setattr(sweep_report, "kept_report", fail)
    else:
        monkeypatch.setattr(sweep_report, "_MOST_TRIALS", 5)
    notes = Notes()
    with caplog.at_level(logging.WARNING):
        result = run(make_spec(tracking={}), store=store, executor=Played(), progress=notes)
    assert result.sweep.state is SweepState.COMPLETE
    (told,) = [text for text in notes.told if text.startswith("MLflow has no report of a")]
    assert told.endswith("; 'paretune report a --to report.html' writes it")
    assert ("ZeroDivisionError: of nothing" in told) == (fault == "the page")
    assert ("MLflow has no report of a" in caplog.text) == (fault == "the page")
    assert reports(tmp_path) == []


def test_a_run_in_which_every_trial_failed_has_a_report_too(store: Store, tmp_path: Path) -> None:
    failed = Outcome(TrialState.FAILED)
    run(make_spec(tracking={}), store=store, executor=Played(ends=lambda _job: failed))
    (page,) = reports(tmp_path)
    assert "The front is empty" in page
