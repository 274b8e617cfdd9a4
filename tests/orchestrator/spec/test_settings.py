"""Options that change a sweep file, short forms of its sections, and who is to blame."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.spec.files import load_sweep
from tests.orchestrator.spec.conftest import GOOD, problems
from trainers.evaluators.config import AttackConfig


def test_settings_change_the_file(write: Callable[..., Path]) -> None:
    spec = load_sweep(
        write(),
        settings=[
            "training.epochs=3",
            "data=digits",
            "sampler.kind=random",
            "objectives.robust_accuracy.epsilon=4/255",
            "objectives.robust_accuracy_2={direction: maximize, epsilon: 0.1}",
            "constraints=[accuracy >= 0.5]",
            " seed = 7",
        ],
        name="other",
        trials=9,
    )
    assert (spec.name, spec.budget.trials, spec.seed) == ("other", 9, 7)
    assert (spec.training.epochs, spec.training.tune) == (3, "head")
    assert (spec.data.name, spec.data.limit) == ("digits", None)
    assert spec.sampler.kind == "random"
    assert spec.objectives["robust_accuracy"].epsilon == 4 / 255
    assert spec.objectives["robust_accuracy"].attack == "fgsm"
    assert spec.objectives["robust_accuracy_2"].epsilon == 0.1
    assert spec.constraints == ["accuracy >= 0.5"]


def test_a_setting_below_a_short_form_keeps_what_it_was_short_for(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(GOOD.replace("{name: digits, limit: 300}", "digits"))
    data = load_sweep(path, settings=["data.limit=300"]).data
    assert (data.name, data.limit) == ("digits", 300)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.epochs", "is not KEY=VALUE"),
        ("=3", "is not KEY=VALUE"),
        ("training.epochs=[", "does not parse"),
        ("training.epochs=x", "--set, training.epochs: 'epochs' is 'x'"),
        ("training.epoch=3", "--set, training.epoch: Unknown key 'epoch'"),
        ("trainin.epochs=3", "--set, trainin: Unknown key 'trainin'"),
        ("a..b=3", "--set, a: Unknown key 'a'"),
        ("training=3", "--set, training: 'training' is 3"),
        ("space=fc_quantt", "--set, space: "),
        ("space={bits: {type: int, low: 8, high: 2}}", "--set, space.bits: "),
        ("space={bitz: {type: int, low: 2, high: 8}}", "--set, space.bitz: "),
        ("constraints=[accuracy > 1]", "--set, constraints: "),
        ("name.x=1", "'name'"),
        ("objectives.accuracy=3", "--set, objectives.accuracy"),
    ],
)
def test_a_wrong_setting_is_named_and_not_the_file(
    write: Callable[..., Path], setting: str, said: str
) -> None:
    found = problems(write(), settings=[setting])
    assert any(said in text for text in found), found


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["data.val_fraction=0.9"], "--set, data: "),
        (["space.bits={type: int, low: 8, high: 2}"], "--set, space.bits: "),
        (["space.fc_layers={type: int, low: 1, high: 3}"], "--set, space.fc_layers: "),
        (["budget.gpu_hours=3"], "--set budget.gpu_hours: budget: gpu_hours is 3"),
        (["seed=1", "scheduler=moasha,scheduler.min_epochs=2"], "--set scheduler"),
        (["front_measures={robust_accuracy: pgd}"], "--set, front_measures: "),
        (["training.epochs=1", "scheduler.kind=asha"], "--set "),
        (["objectives.robust_accuracy.attack=deepfool"], "--set, objectives"),
        (["objectives.robust_accuracy.attack=corruptions"], "--set, objectives"),
        (["seed=1,training.epochs=x"], "--set, training.epochs: 'epochs' is 'x'"),
    ],
)
def test_a_setting_that_does_not_go_with_the_file_is_blamed_and_not_the_file(
    write: Callable[..., Path], settings: list[str], said: str
) -> None:
    found = problems(write(), settings=settings)
    assert any(text.startswith(said) for text in found), found
    assert not any(text.startswith("sweep.yaml") for text in found), found


def test_several_settings_in_one_text_are_several(write: Callable[..., Path]) -> None:
    spec = load_sweep(
        write(),
        settings=['constraints=["accuracy >= 0.5", macs <= 1000000],seed=7, sampler=random'],
    )
    assert spec.constraints == ["accuracy >= 0.5", "macs <= 1000000"]
    assert (spec.seed, spec.sampler.kind) == (7, "random")


SHORT_FORMS = {
    "sampler: random": lambda spec: spec.sampler.kind == "random",
    "scheduler: moasha": lambda spec: spec.scheduler.min_epochs == 1,
    "head: sqrt": lambda spec: spec.head.rule == "sqrt",
    "budget: 7": lambda spec: spec.budget.trials == 7,
    "budget: {plateau: 3}": lambda spec: spec.budget.plateau.trials == 3,
    "tracking: none": lambda spec: spec.tracking.kind == "none",
    "tracking: false": lambda spec: spec.tracking.kind == "none",
    "tracking: mlflow": lambda spec: spec.tracking.kind == "mlflow",
    "tracking: http://host:5000": lambda spec: spec.tracking.uri == "http://host:5000",
    "measures: {robust_accuracy_s: square}": (
        lambda spec: spec.measures["robust_accuracy_s"].attack == "square"
    ),
    "measures: {corruption_accuracy: {samples: 9}}": (
        lambda spec: spec.attacks["corruption_accuracy"] == AttackConfig("corruptions", samples=9)
    ),
    "measures: {deepfool_perturbation: deepfool}": (
        lambda spec: spec.measures["deepfool_perturbation"].attack == "deepfool"
    ),
    "front_measures: {robust_accuracy_a: apgd}": (
        lambda spec: spec.front_measures["robust_accuracy_a"].attack == "apgd"
    ),
    "execution: {cache: no}": lambda spec: spec.execution.cache == "off",
    "execution: {cache: false}": lambda spec: spec.execution.cache == "off",
    "execution: {cache: yes}": lambda spec: spec.execution.cache == "auto",
}


@pytest.mark.parametrize("form", SHORT_FORMS)
def test_a_section_with_one_natural_word_has_a_short_form(
    write: Callable[..., Path], form: str
) -> None:
    path, section = write(), form.partition(":")[0]
    lines = [line for line in GOOD.splitlines() if not line.startswith(f"{section}:")]
    path.write_text("\n".join([*lines, form]))
    assert SHORT_FORMS[form](load_sweep(path))
    # As an option, and changed by one.
    key, _, value = form.partition(": ")
    assert SHORT_FORMS[form](load_sweep(write(), settings=[f"{key}={value}"]))


def test_a_setting_below_every_short_form_keeps_what_it_was_short_for(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    text = GOOD.replace("{kind: none}", "mlflow").replace("{trials: 4}", "4")
    path.write_text(text + "scheduler: asha\nhead: fraction\nwarm_start: other\n")
    changes = ["tracking.uri=http://h", "budget.seconds=5", "scheduler.min_epochs=1"]
    changes += ["head.fraction=0.5", "warm_start.store=sqlite:////s.db"]
    changes += ["objectives.accuracy.direction=minimize"]
    spec = load_sweep(path, settings=changes)
    assert (spec.tracking.kind, spec.tracking.uri) == ("mlflow", "http://h")
    assert (spec.budget.trials, spec.budget.seconds) == (4, 5)
    assert (spec.scheduler.kind, spec.scheduler.min_epochs) == ("asha", 1)
    assert (spec.head.rule, spec.head.fraction) == ("fraction", 0.5)
    assert spec.warm_start is not None
    assert (spec.warm_start.sweep, spec.warm_start.store) == ("other", "sqlite:////s.db")
    assert spec.objectives["accuracy"].direction == "minimize"


def test_what_the_file_says_wrong_beside_a_setting_has_its_line(
    write: Callable[..., Path],
) -> None:
    path = write("tune: head", "tune: hed")
    (found,) = problems(path, settings=["training.epochs=3"])
    assert found.startswith("sweep.yaml line 8, training.tune")


def test_a_wrong_option_is_named(write: Callable[..., Path]) -> None:
    assert problems(write(), name="a b")[0].startswith("--name, name: ")
    assert problems(write(), trials=0)[0].startswith("--trials, budget.trials: ")
