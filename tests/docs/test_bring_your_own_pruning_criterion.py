"""A sweep that follows the guide to a pruning criterion prunes by it."""

from pathlib import Path

import pytest

from orchestrator import SweepSpec
from orchestrator.errors import SweepExistsError
from orchestrator.spec.files import load_sweep
from tests.docs.parts import SMALL, changed, checked, contract_passes, ran
from trainers.doors import load_reference

GUIDE = (
    Path(__file__).resolve().parents[2] / "docs" / "guides" / "bring-your-own-pruning-criterion.md"
)


@pytest.mark.slow
def test_its_sweep_prunes_and_is_refused_with_another_criterion(folder: Path) -> None:
    said, problems = checked(folder)
    assert problems == []
    assert said == [f"pruning.criterion: {folder / 'my_criterion.py'}:steady scores weights"]
    trials = ran(folder, trials=2)
    for trial in trials:
        assert trial.values["sparsity"] > 0.4
    changed(folder / "my_criterion.py", "0.5 * grown", "0.6 * grown")
    with pytest.raises(
        SweepExistsError, match="other code of its quantizer, criterion or attacks"
    ):
        ran(folder, trials=3)


@pytest.mark.slow
def test_a_class_that_gathers_is_called_in_each_step(folder: Path) -> None:
    changed(folder / "sweep.yaml", "steady", "Gradients")
    assert checked(folder)[0] == [
        f"pruning.criterion: {folder / 'my_criterion.py'}:Gradients scores weights, and "
        "gathers in each step"
    ]
    (trial,) = ran(folder, trials=1)
    assert trial.values["sparsity"] > 0.4


def test_frozen_weights_are_refused_by_what_needs_training(folder: Path) -> None:
    changed(folder / "sweep.yaml", "steady", "Gradients")
    changed(folder / "sweep.yaml", "tune: all", 'tune: "last_blocks:1"')
    (problem,) = checked(folder)[1]
    assert "says that it needs_training, and tune is 'last_blocks:1'" in problem


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("evidence.weight.mean()", "returned (); a number for each weight is needed."),
        ("evidence.weight / 0", "returned NaN or infinity; finite numbers are needed."),
        ("evidence.weights", "raised AttributeError"),
    ],
)
def test_check_says_which_promise_is_broken(folder: Path, answer: str, problem: str) -> None:
    (folder / "my_criterion.py").write_text(f"def steady(evidence):\n    return {answer}\n")
    (said,) = checked(folder)[1]
    assert said.startswith("pruning.criterion: my_criterion:steady#")
    assert problem in said


def test_the_function_itself_is_taken_from_python(folder: Path) -> None:
    named = load_sweep(folder / "sweep.yaml", settings=SMALL)
    function = load_reference(f"{folder / 'my_criterion.py'}:steady")
    pruning = {"criterion": function, "schedule": "gradual"}
    given = named.model_dump(mode="json") | {"pruning": pruning}
    assert SweepSpec.model_validate(given).identity() == named.identity()


@pytest.mark.slow
def test_the_contract_of_the_guide_is_kept(folder: Path) -> None:
    assert contract_passes(folder, "test_my_criterion.py")
