"""A folder with nothing but a sweep file and code of one's own: it runs, goes on, and is right."""

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from orchestrator import Callback, Front, SweepSpec
from orchestrator.driver.preflight import check
from orchestrator.driver.running import RunResult, resume, run
from orchestrator.errors import SweepExistsError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.queries.sweeps import open_sweep
from orchestrator.spec.files import load_sweep
from orchestrator.trials import Trial, TrialState
from tests.docs.parts import changed, contract_passes

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"
FILES = {
    "my_data.py": "bring-your-own-data.md",
    "my_metric.py": "bring-your-own-objective.md",
    "my_callbacks.py": "callbacks.md",
    "my_model.py": "bring-your-own-backbone.md",
    "test_my_model.py": "bring-your-own-backbone.md",
    "test_my_data.py": "bring-your-own-data.md",
    "test_my_metric.py": "bring-your-own-objective.md",
    "test_my_callbacks.py": "callbacks.md",
    "sweep.yaml": "bring-your-own-backbone.md",
}
SETTINGS = ["tracking=none", "training.epochs=2"]
# One worker, which starts in half the time of two.
ONE = ["execution.max_slots=1"]
TRIALS = 6
PROGRAM = """
import sys
from orchestrator.driver.running import run
from orchestrator.execution.inline import InlineExecutor
from orchestrator.spec.files import load_sweep
run(load_sweep(sys.argv[1], settings=sys.argv[2:]), executor=InlineExecutor)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the guides, and another working directory."""
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "state"))
    project = tmp_path / "project"
    project.mkdir()
    for name, guide in FILES.items():
        text = (GUIDES / guide).read_text()
        (content,) = re.findall(rf"```\w+\n# {name}\n(.*?)```", text, re.DOTALL)
        (project / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    return project


def values_of(result: RunResult) -> dict[tuple[Any, ...], Mapping[str, float]]:
    """What each configuration was measured to have, but for what takes another time each time."""
    kept = ("accuracy", "memory_bytes", "my_confidence", "params", "nll")
    return {
        tuple(sorted(trial.params.items())): {name: trial.values[name] for name in kept}
        for trial in open_sweep(result.sweep.name).trials()
        if trial.state is TrialState.COMPLETE
    }


def assert_is_right(front: Front, trials: list[Trial]) -> None:
    """The members are those that nothing beats, by the definition; and they are what they seem."""
    losses = {
        each.number: (
            -each.values["accuracy"],
            each.values["memory_bytes"],
            each.values["my_confidence"],
        )
        for each in trials
    }
    unbeaten = {
        number
        for number, loss in losses.items()
        if not any(
            other != loss and all(o <= x for o, x in zip(other, loss, strict=True))
            for other in losses.values()
        )
    }
    assert {member.trial for member in front} == unbeaten


@pytest.mark.slow
def test_it_is_checked_without_a_word_of_complaint(folder: Path) -> None:
    report = check(load_sweep(folder / "sweep.yaml"))
    assert report.problems == []
    said = dict(report.lines)
    assert said["weights"] == "own: as the backbone's function returns them"
    # The example of the guide, line for line.
    guide = (GUIDES / "bring-your-own-backbone.md").read_text()
    for label in ("sweep", "configurations", "budget", "weights", "data", "pixels"):
        assert f"{label:<14}  {said[label]}" in guide


@pytest.mark.slow
def test_killed_and_continued_it_ends_as_one_left_alone(folder: Path) -> None:
    file, slow = folder / "sweep.yaml", [*SETTINGS, "training.epochs=8", "execution.cache=off"]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(file), *slow])
    table = folder / "trials.csv"
    try:
        deadline = time.monotonic() + 240
        while not table.is_file() or table.read_text().count("\n") < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    before = [t.number for t in open_sweep("all-my-own").trials() if t.state.is_final]
    assert 2 <= len(before) < TRIALS
    result = run(load_sweep(file, settings=slow), executor=InlineExecutor)
    trials = open_sweep("all-my-own").trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * TRIALS
    assert_is_right(result.front, trials)
    alone = run(load_sweep(file, settings=slow, name="alone"), executor=InlineExecutor)
    assert values_of(result) == values_of(alone)
    assert {member.trial for member in result.front} == {m.trial for m in alone.front}


@pytest.mark.slow
def test_a_packed_network_measures_what_its_trial_did(folder: Path) -> None:
    result = run(load_sweep(folder / "sweep.yaml", settings=SETTINGS), executor=InlineExecutor)
    sys.path.insert(0, str(folder))
    try:
        data = importlib.import_module("my_data").load()
    finally:
        sys.path.remove(str(folder))
    from trainers.data.loading import load_data

    images = load_data(load_sweep(folder / "sweep.yaml").data_config())
    assert set(images.classes) == set(data["classes"])
    member = result.front.knee()
    network = member.load_model()
    assert network.spec.backbone.startswith("my_model:build#")
    with torch.inference_mode():
        answers = network(torch.tensor(images.val_images) / 255).argmax(1).numpy()
    assert np.mean(answers == images.val_labels) == member.values["accuracy"]


@pytest.mark.slow
def test_other_code_is_another_sweep_and_another_place_is_not(folder: Path) -> None:
    run(
        load_sweep(folder / "sweep.yaml", settings=[*SETTINGS, "budget.trials=1"]),
        executor=InlineExecutor,
    )
    moved = folder.with_name("moved")
    shutil.move(folder, moved)
    settings = [*SETTINGS, "budget.trials=2"]
    run(load_sweep(moved / "sweep.yaml", settings=settings), executor=InlineExecutor)
    trials = open_sweep("all-my-own").trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    code = moved / "my_model.py"
    code.write_text(code.read_text() + "\n# another content\n")
    settings[-1] = "budget.trials=3"
    with pytest.raises(SweepExistsError, match="other code of its backbone"):
        run(load_sweep(moved / "sweep.yaml", settings=settings), executor=InlineExecutor)


@pytest.mark.slow
def test_what_the_code_imports_is_part_of_it(folder: Path) -> None:
    code, layers = folder / "my_model.py", folder / "my_layers.py"
    layers.write_text("# layers")
    code.write_text("import my_layers\n" + code.read_text())
    settings = [*SETTINGS, "budget.trials=1"]
    run(load_sweep(folder / "sweep.yaml", settings=settings), executor=InlineExecutor)
    layers.write_text("# other layers")
    settings[-1] = "budget.trials=2"
    with pytest.raises(SweepExistsError, match="other code of its backbone"):
        run(load_sweep(folder / "sweep.yaml", settings=settings), executor=InlineExecutor)


@pytest.mark.slow
def test_a_project_that_moved_goes_on_by_the_name_of_its_sweep(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state folder is within it; code, data and callbacks are found where they are now."""
    monkeypatch.setenv("PARETUNE_HOME", str(folder / ".paretune"))
    settings = [*SETTINGS, "execution=inline", "budget.trials=2"]

    class Impatient(Callback):
        def on_trial_end(self, trial: Trial) -> None:
            signal.raise_signal(signal.SIGINT)

    run(load_sweep(folder / "sweep.yaml", settings=settings), callbacks=[Impatient()])
    assert len(open_sweep("all-my-own").trials()) == 1
    moved = folder.rename(folder.with_name("moved"))
    monkeypatch.setenv("PARETUNE_HOME", str(moved / ".paretune"))
    resume("all-my-own", callbacks=[Callback()])
    trials = open_sweep("all-my-own").trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    # The callback wrote its table beside itself.
    assert (moved / "trials.csv").read_text().count("\n") == 2
    assert not folder.exists()


@pytest.mark.slow
def test_objects_of_python_do_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_file = run(load_sweep(folder / "sweep.yaml", settings=SETTINGS), executor=InlineExecutor)
    monkeypatch.syspath_prepend(str(folder))
    model, metric, data = (importlib.import_module(f"my_{n}") for n in ("model", "metric", "data"))
    importlib.reload(model), importlib.reload(metric), importlib.reload(data)
    heard: list[int] = []

    class Heard(Callback):
        def on_trial_end(self, trial: Trial) -> None:
            heard.append(trial.number)

    given = yaml.safe_load((folder / "sweep.yaml").read_text())
    given["objectives"]["my_confidence"]["function"] = metric.confidence
    given |= {"name": "objects", "backbone": model.build, "data": {"dataset": data.load}}
    given |= {"tracking": "none", "training": {**given["training"], "epochs": 2}, "callbacks": []}
    spec = SweepSpec.model_validate(given)
    result = run(spec, executor=InlineExecutor, callbacks=[Heard()])
    assert sorted(heard) == list(range(TRIALS))
    assert values_of(result) == values_of(from_file)


@pytest.mark.slow
def test_the_contract_of_the_guide_is_kept_by_its_model(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not onnx"]
    ended = subprocess.run(
        [*command, "test_my_model.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout
    assert "12 passed" in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "before", "after", "said"),
    [
        ("data", "default_rng(0)", "default_rng()", "test_the_same_images_come_again"),
        ("metric", "with torch", "network.train()\n    with torch", "test_network_and_images_are"),
        (
            "callbacks",
            "if trial.state",
            "if trial.values['accuracy'] and trial.state",
            "KeyError: 'accuracy'",
        ),
    ],
)
def test_the_contracts_of_the_guides_are_kept_and_find_what_breaks_them(
    folder: Path, part: str, before: str, after: str, said: str
) -> None:
    assert contract_passes(folder, f"test_my_{part}.py")
    changed(folder / f"my_{part}.py", before, after)
    with pytest.raises(AssertionError, match=said):
        contract_passes(folder, f"test_my_{part}.py")


@pytest.mark.ray
@pytest.mark.slow
def test_workers_of_ray_find_the_code_from_another_folder(folder: Path) -> None:
    environment = {**os.environ, "RAY_ADDRESS": ""}
    program = PROGRAM.replace(", executor=InlineExecutor", "")
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", program, str(folder / "sweep.yaml"), *SETTINGS, *ONE],
        cwd=elsewhere,
        env={key: value for key, value in environment.items() if value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    trials = open_sweep("all-my-own").trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * TRIALS
    assert_is_right(open_sweep("all-my-own").front(), trials)
    assert (folder / "trials.csv").read_text().count("\n") == TRIALS
