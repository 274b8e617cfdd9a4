"""A good sweep file, and what is said of one that is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.spec.files import load_sweep

GOOD = """\
name: tiny
backbone: {name: digitnet, weights: scratch}
data: {name: digits, limit: 300}
space:
  fc_width_1: {type: choice, values: [8, 16]}
  bits: {type: int, low: 2, high: 8}
  dropout: {type: float, low: 0, high: 0.5, when: bits >= 4}
training: {tune: head, epochs: 2}
objectives:
  accuracy: maximize
  memory_bytes: minimize
  robust_accuracy: {direction: maximize, attack: fgsm, epsilon: 8/255, samples: 32}
constraints: ["memory_bytes <= 200kB"]
budget: {trials: 4}
tracking: {kind: none}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A sweep file with one text in it replaced."""

    def written(old: str = "", new: str = "") -> Path:
        assert old in GOOD
        path = tmp_path / "sweep.yaml"
        path.write_text(GOOD.replace(old, new, 1) if old else GOOD)
        return path

    return written


def problems(path: Path, **options: Any) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load_sweep(path, **options)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


# Of pydantic, which speaks of types of Python.
FOREIGN = (
    *("Input should", "valid ", "instance of", "literal[", "Section", "pydantic", "Value error"),
    *("dictionary", "Field required", "unable to", "constrained", "type=", "[key]", "NoneType"),
)


def assert_plain(text: str) -> None:
    assert not [word for word in FOREIGN if word in text], text
