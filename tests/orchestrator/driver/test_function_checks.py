"""A function of one's own is tried as trials will call it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.driver.function_checks import check_functions
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.data import load_data
from trainers.data.config import DataConfig


def returned(code: str, folder: Path) -> tuple[list[str], list[str]]:
    file = folder / "mine.py"
    file.write_text(code)
    spec = SweepSpec.model_validate(
        {
            "name": "s",
            "backbone": {"name": "digitnet", "weights": "scratch"},
            "data": "digits",
            "space": {"bits": {"type": "choice", "values": [4, 8]}},
            "objectives": {"mine": {"direction": "minimize", "function": f"{file}:mine"}},
        }
    )
    data = load_data(DataConfig(name="digits", limit=200))
    # As in a folder of images: one class after the other.
    order = np.argsort(data.val_labels, kind="stable")
    sorted_data = replace(
        data, val_images=data.val_images[order], val_labels=data.val_labels[order]
    )
    return check_functions(spec, sorted_data)


def test_the_two_images_are_of_two_classes(tmp_path: Path) -> None:
    lines, problems = returned("mine = lambda net, images, labels: len(set(labels))", tmp_path)
    assert problems == []
    assert lines[0].endswith("gives 2 on an untrained network")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[each.data.zero_() for each in network.parameters()]", "and changed its features"),
        ("network.train()", "and left it in train mode"),
        ("__import__('sys').exit(0)", "and raised SystemExit: 0"),
    ],
)
def test_code_that_changes_the_network_or_ends_the_process_is_refused(
    tmp_path: Path, body: str, said: str
) -> None:
    code = f"def mine(network, images, labels):\n    {body}\n    return 1\n"
    lines, (problem,) = returned(code, tmp_path)
    assert lines == []
    assert said in problem
