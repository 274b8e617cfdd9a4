"""The page of a sweep, as a person asks for it."""

import re
from pathlib import Path

import pytest

from orchestrator.contracts import Outcome
from orchestrator.storage.opening import open_store
from orchestrator.trials import Failure, FailureKind, TrialState

pytestmark = pytest.mark.usefixtures("filled")


def visible(page: str) -> str:
    """The page without its scripts and styles."""
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)


@pytest.mark.slow
def test_a_page_stands_alone_and_says_what_there_is(call, tmp_path: Path) -> None:
    to = tmp_path / "report.html"
    result = call("report", "digits-fc", "--to", str(to))
    assert result.exit_code == 0, result.output
    assert "has no reference to compare with" in result.stdout
    page = to.read_text()
    text = visible(page)
    assert not re.search(
        r"<(script|img|iframe)[^>]+src=|<link", page.replace("<link rel", "<link")
    )
    for needed in ("3 of 5 complete trials", "reference: true", "96.0 %", "22.4 kB", "paretune "):
        assert needed in text
    assert list(tmp_path.glob(".report*")) == []


@pytest.mark.slow
def test_weights_that_have_seen_the_images_are_warned_about(call, tmp_path: Path, spec) -> None:
    store = open_store(None)
    space = {"fc_width_1": {"type": "choice", "values": [8, 16]}}
    data = {"name": "fashion_mnist", "limit": 900}
    seen = {**spec, "name": "seen", "data": data, "space": space}
    store.create_sweep("seen", seen, "f")
    to = tmp_path / "report.html"
    said = "Warning: the bundled weights of digitnet were trained on fashion_mnist"
    for name, is_said in (("seen", True), ("digits-fc", False)):
        assert call("report", name, "--to", str(to)).exit_code == 0
        assert (said in visible(to.read_text())) == is_said


def test_what_strangers_wrote_is_text(call, tmp_path: Path, home: Path) -> None:
    store = open_store(None)
    writer = store.take("digits-fc", "test")
    trial = writer.add_trial({"<b>x</b>": "<script>alert(1)</script>"}, seed=1)
    attempt = writer.start_attempt(trial.number, "w")
    failure = Failure(FailureKind.ERROR, "<img src=x onerror=alert(2)>", "")
    writer.finish_attempt(
        trial.number, attempt.number, Outcome(TrialState.FAILED, failure=failure)
    )
    writer.release()
    to = tmp_path / "report.html"
    assert call("report", "digits-fc", "--to", str(to)).exit_code == 0
    page = to.read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(2)&gt;" in page
    assert "<script>alert(1)" not in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("digits-fc", "--to", "report.pdf"), 2, "ends in .html"),
        (("digits", "--to", "r.html"), 2, "Did you mean 'digits-fc'?"),
        (("digits-fc", "--to", "nowhere/at/all/r.html"), 1, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    call,
    words: tuple[str, ...],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("report", *words)
    assert result.exit_code == code
    assert said in result.output
    assert list(tmp_path.glob("*.html")) == []


def test_secrets_of_the_spec_stay_where_they_are(call, tmp_path: Path, spec) -> None:
    store = "postgresql+psycopg://bob:geheim@db/paretune"
    tracking = {"kind": "mlflow", "uri": "http://me:geheim@mlflow:5000?token=geheim"}
    secret = {**spec, "name": "secret", "store": store, "tracking": tracking}
    open_store(None).create_sweep("secret", secret, "f")
    to = tmp_path / "report.html"
    assert call("report", "secret", "--to", str(to)).exit_code == 0
    assert "geheim" not in to.read_text()


def test_a_sweep_without_trials_has_a_page(call, tmp_path: Path, spec) -> None:
    open_store(None).create_sweep("empty", {**spec, "name": "empty"}, "f")
    to = tmp_path / "report.html"
    assert call("report", "empty", "--to", str(to)).exit_code == 0
    assert "The front is empty" in visible(to.read_text())
