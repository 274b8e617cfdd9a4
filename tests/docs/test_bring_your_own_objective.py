"""A sweep that follows the guide to a custom objective runs."""

import re
from pathlib import Path

import pytest

from orchestrator.driver.preflight import check
from orchestrator.driver.running import run
from orchestrator.errors import SweepExistsError, UsageError
from orchestrator.execution.inline import InlineExecutor
from orchestrator.queries.sweeps import open_sweep
from orchestrator.spec.files import load_sweep
from orchestrator.trials import TrialState

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guides"
GUIDE = GUIDES / "bring-your-own-objective.md"
# Fewer images and epochs than in the guide, for time.
SMALL = ["data.limit=200", "training.epochs=1", "tracking=none", "budget.trials=1"]


@pytest.mark.slow
def test_its_sweep_measures_goes_on_and_is_refused_with_other_code(folder: Path) -> None:
    file = folder / "sweep.yaml"
    run(load_sweep(file, settings=SMALL), executor=InlineExecutor)
    run(load_sweep(file, settings=SMALL, trials=2), executor=InlineExecutor)
    sweep = open_sweep("own-objective")
    assert [trial.state for trial in sweep.trials()] == [TrialState.COMPLETE] * 2
    assert all(0.1 <= trial.values["my_confidence"] <= 0.95 for trial in sweep.trials())
    assert len(sweep.front(where="my_confidence <= 0.95")) >= 1
    code = folder / "my_metric.py"
    code.write_text(code.read_text() + "\n# another content\n")
    with pytest.raises(SweepExistsError, match="other functions of its objectives"):
        run(load_sweep(file, settings=SMALL, trials=3), executor=InlineExecutor)


@pytest.mark.slow
def test_the_images_of_a_function_are_those_of_the_sweep(folder: Path) -> None:
    text = (GUIDES / "bring-your-own-data.md").read_text()
    (code,) = re.findall(r"```python\n# my_data.py\n(.*?)```", text, re.S)
    (folder / "my_data.py").write_text(code)
    file = folder / "sweep.yaml"
    file.write_text(file.read_text().replace("name: digits}", 'dataset: "my_data:load"}'))
    small = ["training.epochs=1", "tracking=none", "budget.trials=1"]
    spec = load_sweep(file, settings=small)
    assert "load: 2 classes, images 1x16x16" in dict(check(spec).lines)["data"]
    run(spec, executor=InlineExecutor)
    run(load_sweep(file, settings=small, trials=2), executor=InlineExecutor)
    (folder / "my_data.py").write_text(code.replace("default_rng(0)", "default_rng(1)"))
    with pytest.raises(SweepExistsError, match="other images"):
        run(load_sweep(file, settings=small, trials=3), executor=InlineExecutor)


def test_a_check_calls_the_function_once(folder: Path) -> None:
    spec = load_sweep(folder / "sweep.yaml", settings=SMALL)
    said = dict(check(spec).lines)["function"]
    assert said.startswith("my_confidence: ")
    assert "on an untrained network" in said
    code = folder / "my_metric.py"
    code.write_text(code.read_text().replace("return", "return 0 *"))
    code.write_text(code.read_text().replace(".mean()", ""))
    (problem,) = (each for each in check(spec).problems if "my_confidence" in each)
    assert "a number is needed" in problem


def test_a_function_that_fails_in_a_trial_fails_it_with_the_sentence(folder: Path) -> None:
    code = folder / "my_metric.py"
    code.write_text(code.read_text().replace("    with", "    1 / 0\n    with"))
    run(load_sweep(folder / "sweep.yaml", settings=SMALL), executor=InlineExecutor)
    (trial,) = open_sweep("own-objective").trials()
    assert trial.state is TrialState.FAILED
    assert trial.failure is not None
    assert "raised ZeroDivisionError" in trial.failure.message


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("my_metric:confidence", "my metric:confidence", "is not code"),
        ("my_confidence", "nll", "measured by paretune itself"),
        ("my_confidence", "robust_accuracy_x", "measured by paretune itself"),
        ("my_confidence", "my-confidence", "letters, digits"),
        ("direction: minimize,", "direction: minimize, steps: 3,", "takes no steps"),
        (', function: "my_metric:confidence"', "", "Unknown objective 'my_confidence'"),
        ('["my_confidence', '["other_name', "other_name"),
    ],
)
def test_a_wrong_objective_is_refused(folder: Path, was: str, now: str, said: str) -> None:
    file = folder / "sweep.yaml"
    file.write_text(file.read_text().replace(was, now))
    with pytest.raises(UsageError, match=said):
        load_sweep(file)
