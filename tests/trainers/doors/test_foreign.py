"""Code of a user's own ends no process, and what it breaks is a sentence."""

import logging
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from trainers.doors import DoorError, call_measure, call_part, load_reference, say_if_slow
from trainers.networks.brought.registry import brought_facts, try_brought_step
from trainers.pruning.own import try_criterion
from trainers.quantization.own import try_quantizer

IMAGES, LABELS = np.zeros((2, 1, 8, 8), np.uint8), np.arange(2)
NET = """
import torch
from torch import nn

class Net(nn.Module):
    image_size, mean, std = 8, [0.5], [0.25]

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3)

    def forward(self, pixels):
        found = self.layer(pixels).mean((2, 3))
        return found
"""


def test_a_process_does_not_end_where_code_calls_exit(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import sys\ndef leave(*_):\n    sys.exit(0)\n")
    with pytest.raises(DoorError, match="raised SystemExit: 0"):
        call_measure(f"{file}:leave", None, IMAGES, LABELS)
    with pytest.raises(DoorError, match="raised SystemExit: 0"):
        call_part("mine:leave", load_reference(f"{file}:leave"))
    file.write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(
        DoorError, match=r"mine.py cannot be imported: SystemExit: 0 \(.*mine.py:2 in <module>"
    ):
        load_reference(f"{file}:leave")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("10 ** 400", "returned 1000000000"),
        ("'0.5'", "returned '0.5'; a number is needed"),
        ("torch.ones(2)", r"returned tensor\(\[1., 1.\]\); a number is needed"),
        ("1j", "returned 1j; a number is needed"),
        ("float('nan')", "returned nan; a finite number is needed"),
        ("images.fill(1)", "raised ValueError: assignment destination is read-only"),
        ("exec('assert False')", r"raised AssertionError without a message \(.*mine.py:3 in size"),
        ("{}[3]", r"raised KeyError: 3 \(.*mine.py:3 in size: return {}\[3\]\)$"),
        (
            "next(iter(()))",
            r"raised StopIteration without a message \(.*mine.py:3 in size: return",
        ),
        ("torch.ones(2) @ torch.ones(3)", r"raised RuntimeError: .* \(.*mine.py:3 in size\)$"),
    ],
)
def test_a_measure_that_gives_no_number_is_named(tmp_path: Path, answer: str, said: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"import torch\ndef size(network, images, labels):\n    return {answer}\n")
    with pytest.raises(DoorError, match=said):
        call_measure(f"{file}:size", None, IMAGES, LABELS)


def test_a_part_that_raises_is_named_with_its_line_and_what_it_was_given(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def attack(network, pixels, labels):\n    assert len(pixels) < 3\n")
    function = load_reference(f"{file}:attack")
    said = r"with tensors of the shapes \(4, 1, 8, 8\) and \(4,\), and raised AssertionError"
    with pytest.raises(
        DoorError, match=rf"{said} without a message \(.*mine.py:2 in attack: assert"
    ):
        call_part("mine:attack", function, None, torch.zeros(4, 1, 8, 8), torch.zeros(4))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("return found", "return found * float('nan')", "NaN or infinity; finite features"),
        ("return found", "return found.half()", r"features of torch.float16; torch.float32"),
        ("return found", "return found.long()", r"features of torch.int64; torch.float32"),
        ("return found", "return found[:, :0]", r"a tensor of shape \(2, 0\)"),
        ("return found", "raise SystemExit(0)", "raised SystemExit: 0"),
        ("mean, std = 8, [0.5]", "mean, std = 8, [float('nan')]", r"has mean \[nan\]"),
    ],
)
def test_features_that_cannot_be_trained_on_are_refused(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    file = tmp_path / "mine.py"
    assert before in NET
    file.write_text(NET.replace(before, after))
    with pytest.raises(DoorError, match=said):
        brought_facts(f"{file}:Net")


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("return found.detach()", "no gradient reaches its parameters, which tune names"),
        ("assert not self.training; return found", "in train mode .* raised AssertionError"),
    ],
)
def test_a_backbone_that_cannot_be_trained_is_refused_where_it_is_to_be(
    tmp_path: Path, after: str, said: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(NET)
    try_brought_step(f"{file}:Net")
    file.write_text(NET.replace("return found", after))
    with pytest.raises(DoorError, match=said):
        try_brought_step(f"{file}:Net")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def it(of): return torch.rand(of.weight.shape)", "other scores for the same Evidence"),
        ("def it(of): return of.weight.zero_()", "changed its weight, which the training"),
        ("def it(of): return of.weight.to(torch.complex64)", "returned torch.complex64; real"),
    ],
)
def test_a_criterion_that_cannot_be_repeated_or_changes_weights_is_refused(
    tmp_path: Path, code: str, said: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"import torch\n{code}\n")
    with pytest.raises(DoorError, match=said):
        try_criterion(f"{file}:it", tune="all")


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ("torch.rand(len(values), 2).sort(1).values", "other levels for the same weights"),
        ("values[:, :1].to(torch.complex64)", "levels of torch.complex64; real numbers"),
    ],
)
def test_a_quantizer_that_cannot_be_repeated_is_refused(
    tmp_path: Path, levels: str, said: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"import torch\ndef it(values, bits): return {levels}\n")
    with pytest.raises(DoorError, match=said):
        try_quantizer(f"{file}:it", 4)


def test_what_takes_long_is_named_and_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), say_if_slow("my_data:load", seconds=0.0):
        while not caplog.records:
            time.sleep(0.01)
    assert caplog.records[0].getMessage().startswith("my_data:load has been running for")
    with caplog.at_level(logging.WARNING), say_if_slow("my_data:load"):
        torch.zeros(1)
    assert len(caplog.records) == 1


def test_a_script_that_runs_whenever_it_is_imported_is_told_the_guard(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    again = "from trainers.doors import load_reference\nload_reference(__file__ + ':Net')\n"
    file.write_text(f"class Net: pass\n{again}")
    with pytest.raises(DoorError, match="put what it runs under if __name__ == '__main__'"):
        load_reference(f"{file}:Net")
    file.write_text("class Net: pass\n")
    assert load_reference(f"{file}:Net").__name__ == "Net"
