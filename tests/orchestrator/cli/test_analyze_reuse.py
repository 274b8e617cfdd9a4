"""``analyze reuse``: what it prints, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.analysis.reuse_verdict import BASIS
from trainers.reuse.arms import scratch_state

Call = Callable[..., Any]
QUICK = ("--data", "digits", "--limit", 120, "--epochs", 1, "--seeds", 1)


@pytest.mark.slow
def test_a_network_is_reusable_for_itself(call: Call, tmp_path: Path) -> None:
    page = tmp_path / "reuse.html"
    words = ("analyze", "reuse", "bundled", "bundled", "--backbone", "digitnet", *QUICK)
    found = json.loads(call(*words, "--to", page, "-f", "json").stdout)
    assert found["network"]["retention"] == 1
    assert {layer["rmse"] for layer in found["layers"]} == {0}
    assert set(found["verdict"].values()) == {"freeze"}
    assert found["thresholds"]["basis"] == BASIS
    assert "conv weight" in page.read_text()
    shown = call(*words)
    assert BASIS in shown.stdout
    assert "seed 0" in shown.stderr
    assert "seed 0" not in shown.stdout


@pytest.mark.slow
def test_a_training_that_teaches_nothing_is_told(call: Call) -> None:
    words = ("analyze", "reuse", "bundled", "bundled", "--backbone", "digitnet", *QUICK)
    assert "have not learned yet" in call(*words, "--learning-rate", 1e-6).stderr


@pytest.mark.slow
def test_random_kernels_are_to_be_drawn_anew(call: Call) -> None:
    words = ("analyze", "reuse", "scratch", "bundled", "--backbone", "digitnet", *QUICK[:-2])
    # Three seeds: one of two random starts may be better in one of them.
    found = json.loads(call(*words, "--seeds", 3, "-f", "json").stdout)
    assert all(0.9 < layer["rmse_of_null"] < 1.1 for layer in found["layers"])
    assert set(found["verdict"].values()) == {"reinitialize"}


def test_other_architectures_are_shown_in_a_table(call: Call, tmp_path: Path) -> None:
    for name in ("cifar_resnet20", "cifar_resnet32"):
        torch.save(scratch_state(name, 0), tmp_path / f"{name}.pth")
    files = [tmp_path / "cifar_resnet20.pth", tmp_path / "cifar_resnet32.pth"]
    result = call("analyze", "reuse", *files, "--backbone", "cifar_resnet20", *QUICK)
    assert result.exit_code == 1
    assert "not both of the architecture cifar_resnet20" in result.stderr
    assert "layer1.3.conv1.weight" in result.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--backbone", "digitnett"), "Did you mean 'digitnet'"),
        (("--backbone", "digitnet", "--modes", "swap"), "replace, freeze, tune"),
        (("--backbone", "digitnet", "--alpha", "2"), "alpha is 2"),
        (("--backbone", "digitnet", "--to", "reuse.txt"), "ends in .html"),
    ],
)
def test_a_wrong_word_is_told(call: Call, words: tuple[str, ...], told: str) -> None:
    result = call("analyze", "reuse", "bundled", "bundled", "--data", "digits", *words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_place_where_no_page_can_be_written_is_told_before_anything_is_trained(
    call: Call, tmp_path: Path
) -> None:
    page = tmp_path / "absent" / "reuse.html"
    words = ("analyze", "reuse", "bundled", "bundled", "--backbone", "digitnet", *QUICK)
    result = call(*words, "--to", page)
    assert result.exit_code == 1
    assert f"no folder {page.parent}" in result.stderr
    assert "seed 0" not in result.stderr
