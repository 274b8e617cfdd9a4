"""``analyze capacity`` and ``analyze similarity``: what they print, write and refuse."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

Call = Callable[..., Result]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Dark and bright noise, which a head tells apart in a few steps."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    images = rng.integers(0, 60, (80, 8, 8, 1), dtype=np.uint8) + 150 * labels[:, None, None, None]
    path = tmp_path / "noise.npz"
    np.savez(path, images=images.astype(np.uint8), labels=labels)
    return path


@pytest.mark.slow
def test_the_similarity_of_widths_is_printed_and_drawn(
    call: Call, archive: Path, tmp_path: Path
) -> None:
    page = tmp_path / "similarity.html"
    words = ["analyze", "similarity", archive, "--widths", "4,16", "--epochs", 2, "--seeds", 2]
    result = call(*words, "--to", page, "--format", "json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert [(row["width"], row["other_width"]) for row in found["rows"]] == [
        (4, 4),
        (4, 16),
        (16, 16),
    ]
    assert all(0 <= row["lowest"] <= row["cka"] <= row["highest"] <= 1 for row in found["rows"])
    assert [row["pairs"] for row in found["rows"]] == [1, 2, 1]
    text = page.read_text()
    assert "similarity of heads on digitnet" in text
    assert "noise.npz --backbone digitnet --weights bundled --widths 4,16 --seeds 2" in text
    assert str(tmp_path) not in text
    assert "CKA" in call(*words).stdout


@pytest.mark.slow
def test_the_capacity_of_widths_is_printed_and_drawn(
    call: Call, archive: Path, tmp_path: Path
) -> None:
    page = tmp_path / "capacity.html"
    words = ["analyze", "capacity", archive, "--widths", 16, "--epochs", 20, "--seeds", 1]
    result = call(*words, "--to", page, "--format", "json")
    assert result.exit_code == 0, result.stderr
    (row,) = json.loads(result.stdout)["rows"]
    assert row["images"] == json.loads(result.stdout)["training_images"]
    assert row["is_bounded"] is False
    assert row["parameters"] == 16 * 577 + 2 * 17
    assert "capacity of heads on digitnet" in page.read_text()
    assert ">= " in call(*words).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--widths", "8,x"), "--widths is '8,x'; whole numbers from 1 to 65536"),
        (("--backbone", "digitnett"), "digitnet"),
        (("--to", "page.txt"), "ends in .html"),
        (("--learning-rate", "99"), "learning_rate is 99"),
    ],
)
@pytest.mark.parametrize("question", ["capacity", "similarity"])
def test_wrong_use_is_refused_with_what_would_do(
    call: Call, question: str, words: tuple[str, ...], said: str
) -> None:
    result = call("analyze", question, "digits", *words)
    assert result.exit_code == 2
    assert said in result.stderr
