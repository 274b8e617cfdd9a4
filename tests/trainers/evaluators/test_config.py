"""The description of an attack."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainers.evaluators import AttackConfig


def test_defaults_are_those_of_a_quick_pgd() -> None:
    attack = AttackConfig("pgd", 8 / 255)
    assert (attack.norm, attack.steps, attack.step_size) == ("linf", 10, None)
    assert (attack.restarts, attack.samples) == (1, 200)
    assert attack == AttackConfig("pgd", 8 / 255)
    assert hash(attack) == hash(AttackConfig("pgd", 8 / 255))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("epsilon", [0.0, -0.1, float("nan"), float("inf")])
def test_epsilon_is_a_number_above_zero(epsilon: float, norm: Any) -> None:
    with pytest.raises(ValueError, match=r"epsilon is .*a number above 0"):
        AttackConfig("pgd", epsilon, norm)


def test_epsilon_is_at_most_one_where_it_bounds_a_pixel() -> None:
    AttackConfig("pgd", 1)
    with pytest.raises(ValueError, match=r"epsilon is 8.*at most 1.*8/255"):
        AttackConfig("pgd", 8)
    AttackConfig("pgd", 8, "l2")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"attack": "cw"}, "attack is 'cw'; known are fgsm, bim, pgd, apgd"),
        ({"norm": "l1"}, "norm is 'l1'; known are linf and l2"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2.0}, "steps is 2.0"),
        ({"steps": True}, "steps is True"),
        ({"restarts": 0}, "restarts is 0"),
        ({"samples": -1}, "samples is -1"),
        ({"step_size": 0.0}, "step_size is 0.0"),
        ({"step_size": float("nan")}, "step_size is nan"),
        ({"attack": "fgsm", "restarts": 2}, "fgsm has no restarts: leave"),
        ({"attack": "fgsm", "step_size": 0.1}, "fgsm has no step_size.* takes epsilon, norm"),
        ({"attack": "fgsm", "steps": 5}, "fgsm has no steps"),
        ({"attack": "bim", "restarts": 2}, "bim has no restarts"),
        ({"attack": "autoattack", "steps": 20}, "autoattack has no steps"),
        ({"attack": "deepfool"}, "deepfool has no epsilon.* It takes samples"),
    ],
)
def test_wrong_values_get_a_sentence(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        AttackConfig(**{"attack": "pgd", "epsilon": 0.1, **values})


def test_the_config_is_there_without_torch() -> None:
    script = "import sys, trainers.evaluators; print('torch' in sys.modules)"
    folder = Path(__file__).parents[3]
    command = [sys.executable, "-c", script]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
