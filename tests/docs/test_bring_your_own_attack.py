"""A sweep that follows the guide to an attack measures with it."""

from pathlib import Path

import pytest

from orchestrator import SweepSpec
from orchestrator.errors import SweepExistsError
from orchestrator.spec.files import load_sweep
from orchestrator.trials import TrialState
from tests.docs.parts import SMALL, changed, checked, contract_passes, ran
from trainers.doors import load_reference

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "bring-your-own-attack.md"


@pytest.mark.slow
def test_its_sweep_measures_and_is_refused_with_another_attack(folder: Path) -> None:
    said, problems = checked(folder)
    assert problems == []
    (line,) = said
    assert line.replace(str(folder), "/home/me/project") in GUIDE.read_text()
    for trial in ran(folder, trials=2):
        assert trial.state is TrialState.COMPLETE
        assert 0 <= trial.values["robust_accuracy"] <= trial.values["accuracy"] + 0.5
    changed(folder / "my_attack.py", "steps=10", "steps=11")
    with pytest.raises(
        SweepExistsError, match="other code of its quantizer, criterion or attacks"
    ):
        ran(folder, trials=3)


@pytest.mark.slow
def test_a_stronger_one_leaves_less(folder: Path) -> None:
    weak = ran(folder, "name=weak", "objectives.robust_accuracy.epsilon=0.01", trials=2)
    strong = ran(folder, "name=strong", "objectives.robust_accuracy.epsilon=0.6", trials=2)
    pairs = [
        (a.values["robust_accuracy"], b.values["robust_accuracy"])
        for a, b in zip(weak, strong, strict=True)
    ]
    assert all(mild > harsh for mild, harsh in pairs)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("pixels[:1]", "returned (1, 1, 8, 8); images of the same shape are needed."),
        ("pixels * float('nan')", "returned NaN or infinity; pixels in [0, 1] are needed."),
        ("pixels + 2", "returned pixels from 2 to 3; clamp them to [0, 1]."),
        ("1 - pixels", "returned images that moved by up to 1 in linf; epsilon is 0.2."),
        ("None", "returned NoneType; images of the same shape are needed."),
    ],
)
def test_check_says_which_promise_is_broken(folder: Path, answer: str, problem: str) -> None:
    (folder / "my_attack.py").write_text(
        f"def signs(network, pixels, labels):\n    return {answer}\n"
    )
    (said,) = checked(folder)[1]
    assert said.startswith("objectives.robust_accuracy.attack: my_attack:signs#")
    assert problem in said


@pytest.mark.parametrize("place", ["measures", "front_measures"])
def test_it_may_be_no_objective_too(folder: Path, place: str) -> None:
    text = (folder / "sweep.yaml").read_text()
    line = next(each for each in text.splitlines() if "robust_accuracy" in each)
    own = f'{place}: {{robust_accuracy_signs: "my_attack:signs"}}\n'
    (folder / "sweep.yaml").write_text(text.replace(line, "  accuracy: maximize") + own)
    assert checked(folder)[1] == []
    assert checked(folder)[0][0].startswith(f"{place}.robust_accuracy_signs.attack: {folder}")


def test_the_function_itself_is_taken_from_python(folder: Path) -> None:
    named = load_sweep(folder / "sweep.yaml", settings=SMALL)
    function = load_reference(f"{folder / 'my_attack.py'}:signs")
    attack = {"direction": "maximize", "attack": function, "epsilon": 0.2, "samples": 50}
    given = named.model_dump(mode="json")
    given["objectives"] = {"robust_accuracy": attack, "memory_bytes": "minimize"}
    assert SweepSpec.model_validate(given).identity() == named.identity()


@pytest.mark.slow
def test_the_contract_of_the_guide_is_kept(folder: Path) -> None:
    assert contract_passes(folder, "test_my_attack.py")
