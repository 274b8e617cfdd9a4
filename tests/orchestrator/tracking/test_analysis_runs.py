"""An analysis that is tracked is a run of its own, with what it was given and what it found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.errors import UsageError
from orchestrator.state_folder import StateFolder
from orchestrator.tracking.analysis_runs import ANALYSIS, EXPERIMENT, AnalysisTracker
from orchestrator.tracking.errors import TrackingError
from orchestrator.tracking.mlflow_server import MlflowServer

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]
Analyze = Callable[..., dict[str, Any]]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return StateFolder.find()


@pytest.fixture
def analyze(state: StateFolder) -> Analyze:
    def call(*words: object) -> dict[str, Any]:
        result = CliRunner().invoke(app, ["analyze", *map(str, words), "-f", "json"])
        assert result.exit_code == 0, result.stderr
        return dict(json.loads(result.stdout))

    return call


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=pixels, y=np.arange(40) % 2)
    return tmp_path / "a.npz"


def test_each_analysis_is_one_finished_run_with_inputs_results_and_versions(
    analyze: Analyze, state: StateFolder, archive: Path
) -> None:
    depth = analyze("depth", archive, "--coefficient", 2, "--track", "default")
    quick = ("--data", "digits", "--limit", 100, "--epochs", 1, "--seeds", 1)
    words = ("reuse", "bundled", "bundled", "--backbone", "digitnet", *quick)
    reuse = analyze(*words, "--track", "default")
    server = MlflowServer(state.tracking_uri)
    experiment = server.experiments()[EXPERIMENT]
    (of_depth,) = server.runs(experiment, {ANALYSIS: "depth"})
    (of_reuse,) = server.runs(experiment, {ANALYSIS: "reuse"})
    assert {of_depth.status, of_reuse.status} == {"FINISHED"}
    assert of_depth.params["coefficient"] == "2.0"
    assert of_depth.params["fingerprint"] == depth["fingerprint"]
    assert of_depth.metrics["depth_cap"] == depth["depth_cap"]
    assert of_reuse.params["source_digest"] == reuse["source_digest"]
    assert of_reuse.metrics["retention"] == reuse["network"]["retention"]
    assert of_reuse.metrics["layers_freeze"] == len(reuse["verdict"])
    assert {"version.paretune", "version.torch"} <= of_reuse.tags.keys()
    assert server.files(of_reuse.run_id).keys() == {"report.json", "report.html"}
    # Made again, it is another run.
    analyze("depth", archive, "--track", "default")
    assert len(list(server.runs(experiment, {ANALYSIS: "depth"}))) == 2


def test_the_analyses_of_heads_and_of_few_bits_are_runs_too(
    analyze: Analyze, state: StateFolder, archive: Path
) -> None:
    quick = ("--epochs", 1, "--track", "default")
    heads = ("--widths", "2,4", "--seeds", 2)
    found = {
        "capacity": analyze("capacity", archive, *heads, *quick),
        "similarity": analyze("similarity", archive, *heads, *quick),
        "sensitivity": analyze("sensitivity", "digitnet", archive, "--images", 4, *quick),
    }
    server = MlflowServer(state.tracking_uri)
    experiment = server.experiments()[EXPERIMENT]
    runs = {kind: next(iter(server.runs(experiment, {ANALYSIS: kind}))) for kind in found}
    for kind, run in runs.items():
        assert run.status == "FINISHED"
        assert run.params["fingerprint"] == found[kind]["fingerprint"]
        assert "version.torch" in run.tags
        assert server.files(run.run_id).keys() == {"report.json", "report.html"}
    row = found["similarity"]["rows"][1]
    assert runs["similarity"].metrics["cka_width_2_4"] == row["cka"]
    assert runs["capacity"].metrics["images_width_4"] == found["capacity"]["rows"][1]["images"]
    last = {each["bits"]: each for each in found["sensitivity"]["layers"] if each["layer"] == "fc"}
    told = runs["sensitivity"].metrics["divergence_2_bits"]
    assert told == last[2]["cumulative_divergence"]


def test_nothing_is_tracked_unless_it_was_asked_for(
    analyze: Analyze, state: StateFolder, archive: Path
) -> None:
    analyze("depth", archive)
    assert not state.tracking_database.exists()


def test_an_address_that_mlflow_does_not_know_is_refused_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match="ftp"):
        AnalysisTracker.at("ftp://mlflow")
    result = CliRunner().invoke(app, ["analyze", "depth", "absent.npz", "--track", "ftp://mlflow"])
    assert result.exit_code == 2
    assert "no scheme 'ftp'" in result.stderr


def test_a_server_that_is_away_is_told_in_a_sentence(
    archive: Path, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    words = ["analyze", "depth", str(archive), "--track", "http://127.0.0.1:9"]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, TrackingError | SystemExit)
    assert result.exit_code == 1
    # What was found is not lost.
    assert "Suggested cap" in result.stdout


def test_what_is_asked_before_a_sweep_is_a_run_too(state: StateFolder, tmp_path: Path) -> None:
    page = tmp_path / "heads.html"
    for words in (
        ("sizing", "digitnet", "classes=7", "--fraction", "0.5", "--to", str(page)),
        ("power", "--images", "200,400", "--seeds", "1", "--candidates", "3"),
    ):
        result = CliRunner().invoke(app, ["analyze", *words, "--track", "default"])
        assert result.exit_code == 0, result.stderr
    server = MlflowServer(state.tracking_uri)
    experiment = server.experiments()[EXPERIMENT]
    (sizing,) = server.runs(experiment, {ANALYSIS: "sizing"})
    (power,) = server.runs(experiment, {ANALYSIS: "power"})
    assert sizing.params == {"backbone": "digitnet", "classes": "7", "bits": "32", "fc_bits": "32"}
    assert (power.params["images"], power.params["margin"]) == ("200,400", "0.02")
    assert "heads for 7 classes" in page.read_text()
    assert "paretune analyze sizing digitnet classes=7" in page.read_text()
