"""What a person sees of a sweep in MLflow first, read by MLflow's client and in a browser."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import Store
from orchestrator.queries.sweeps import Sweep
from orchestrator.reporting.sweep_report import keep_report
from orchestrator.tracking import MlflowMirror
from orchestrator.tracking.first_view import view_address
from orchestrator.trials import SweepState
from tests.browser import Tab
from tests.servers import MlflowProcess, free_port, mlflow_client

pytestmark = pytest.mark.mlflow

SWEEP = "digits-fc"
NOTE = "mlflow.note.content"
VIEW = f"mlflow.sharedViewState.paretune-{SWEEP}"
SPACE = {"units": {"type": "int", "low": 8, "high": 64}, "bits": {"type": "int", "low": 2}}
PAIRS = (
    "accuracy vs. memory_bytes",
    "accuracy vs. robust_accuracy",
    "memory_bytes vs. robust_accuracy",
)
LINK = "[...document.querySelectorAll('a')].find((each) => each.innerText === {words!r})?.href"

# MLflow shuts a page off from its own, so that no script of one sees into the other.
IN_THE_FRAME = """async () => {
  const frame = document.querySelector("iframe");
  return frame ? frame.srcdoc || (await (await fetch(frame.src)).text()) : "";
}"""


@pytest.fixture
def filled(driver: Any) -> Any:
    """Three complete trials, of which the last is beaten."""
    driver.writer.set_spec({**driver.store.sweep(SWEEP).spec, "space": SPACE})
    for number, (accuracy, size) in enumerate([(0.9, 1_000), (0.95, 3_000), (0.8, 4_000)]):
        driver.complete(accuracy, size, params={"units": 8 * 2**number, "bits": 2 + number})
    return driver


@pytest.fixture
def tags(tracking_uri: str) -> Callable[[], Mapping[str, str]]:
    """Reads the tags of the sweep's experiment."""

    def read() -> Mapping[str, str]:
        found = mlflow_client(tracking_uri).get_experiment_by_name(SWEEP)
        assert found is not None
        return dict(found.tags)

    return read


@pytest.fixture
def server(tmp_path: Path, tracking_uri: str) -> Iterator[MlflowProcess]:
    """MLflow's server on the database that the mirror writes to."""
    process = MlflowProcess(tmp_path / "server", free_port(), database=tracking_uri)
    process.start()
    yield process
    process.kill()


def shown_runs(tags: Mapping[str, str]) -> str:
    return str(json.loads(tags[f"{VIEW}-front"])["searchFilter"])


def test_the_first_view_has_the_front_first_and_the_objectives_as_columns(
    filled: Any, new_mirror: Callable[[], MlflowMirror], tags: Callable[[], Mapping[str, str]]
) -> None:
    filled.finish()
    new_mirror().drain(SWEEP)
    view = json.loads(tags()[VIEW])
    assert view["orderByKey"] == "tags.`front_rank`"
    assert view["selectedColumns"][:2] == ["metrics.`accuracy`", "metrics.`memory_bytes`"]
    assert view["selectedColumns"][-2:] == ["params.`units`", "params.`bits`"]


def test_the_charts_are_of_the_front_as_soon_as_it_is_marked(
    filled: Any, new_mirror: Callable[[], MlflowMirror], tags: Callable[[], Mapping[str, str]]
) -> None:
    mirror = new_mirror()
    mirror.drain(SWEEP)
    assert shown_runs(tags()) == "tags.`paretune.run` = 'attempt'"
    assert "report.html" not in tags()[NOTE], "it is made at the end"
    filled.finish()
    mirror.drain(SWEEP)
    assert shown_runs(tags()) == "tags.pareto = 'true'"
    assert "report.html" in tags()[NOTE]
    parallel, *pairs = json.loads(tags()[f"{VIEW}-front"])["compareRunCharts"]
    assert parallel["selectedMetrics"] == ["accuracy", "memory_bytes", "robust_accuracy"]
    assert parallel["selectedParams"] == ["units", "bits"]
    assert len(pairs) == 3


def test_charts_of_nearest_misses_are_of_all_trials(
    filled: Any, new_mirror: Callable[[], MlflowMirror], tags: Callable[[], Mapping[str, str]]
) -> None:
    spec = filled.store.sweep(SWEEP).spec
    filled.writer.set_spec({**spec, "constraints": ["accuracy >= 0.99"]})
    filled.finish()
    new_mirror().drain(SWEEP)
    assert shown_runs(tags()) == "tags.`paretune.run` = 'attempt'"


def test_what_a_person_writes_above_the_runs_stays(
    filled: Any, new_mirror: Callable[[], MlflowMirror], tags: Callable[[], Mapping[str, str]]
) -> None:
    mirror = new_mirror()
    mirror.drain(SWEEP)
    assert tags()[NOTE].startswith("[Compare the front in charts](#/experiments/")
    mirror.server.tag_experiment(mirror.experiment_id(), (NOTE, "ask Ada"))
    filled.finish()
    mirror.drain(SWEEP)
    assert tags()[NOTE] == "ask Ada"


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_front_charts_and_report_are_one_click_from_the_first_page(
    filled: Any,
    store: Store,
    new_mirror: Callable[[], MlflowMirror],
    server: MlflowProcess,
    tab: Tab,
) -> None:
    filled.finish(SweepState.COMPLETE)
    mirror = new_mirror()
    mirror.drain(SWEEP)
    assert keep_report(Sweep(SWEEP, store), mirror) == ""

    tab.resize(1400, 1700)
    tab.open(f"{server.uri}/{view_address(SWEEP, mirror.experiment_id())}")
    links = {
        words: tab.wait(LINK.format(words=words), patience_s=120)
        for words in ("Compare the front in charts", "The front", "Report", "Learning curves")
    }
    tab.wait("document.querySelectorAll('.ag-row').length >= 3")
    assert "robust_accuracy" in tab.text()

    tab.open(links["Compare the front in charts"])
    tab.wait("document.body.innerText.includes('2 matching runs')", patience_s=60)
    for words in (*PAIRS, "Parallel Coordinates", "units", "trial 0", "trial 1"):
        tab.wait(f"document.body.innerText.includes({words!r})", patience_s=60)
    assert "trial 2" not in tab.text(), "it is beaten"

    for words, said in (("The front", "on the Pareto front"), ("Report", "How this was made")):
        # The links open a tab of their own.
        tab.open("about:blank")
        tab.open(links[words])
        tab.wait(f"({IN_THE_FRAME})().then((text) => text.includes({said!r}))", patience_s=60)

    tab.open(links["Learning curves"])
    tab.wait("document.body.innerText.includes('val_accuracy')", patience_s=60)
