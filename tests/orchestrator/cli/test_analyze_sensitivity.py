"""``analyze sensitivity``: what it prints, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
QUICK = ("digitnet", "digits", "--images", 8, "--epochs", 1)


@pytest.mark.slow
def test_layers_and_the_front_are_printed_and_drawn(call: Call, tmp_path: Path) -> None:
    page = tmp_path / "sensitivity.html"
    result = call("analyze", "sensitivity", *QUICK, "--front", "--to", page, "-f", "json")
    found = json.loads(result.stdout)
    rows = {(row["layer"], row["bits"]): row for row in found["layers"]}
    assert {bits for _, bits in rows} == {2, 3, 4, 5, 6, 7, 8}
    first = rows["features.0", 2]
    assert first["divergence"] == pytest.approx(first["cumulative_divergence"])
    assert first["number"] == 1
    assert rows["fc", 2]["number"] is None
    means = [each["mean_bits"] for each in found["front"]]
    assert means == sorted(means)
    assert means[0] == 2 < means[-1] <= 8
    text = page.read_text()
    assert "features.12" in text
    # Whatever the defaults are later, the page says what they were.
    for word in ("--epochs 1", "--images 8", "--step mse", "--cumulative", "--front"):
        assert word in text
    assert str(tmp_path) not in text


@pytest.mark.slow
def test_a_table_has_a_row_for_each_layer(call: Call) -> None:
    result = call("analyze", "sensitivity", *QUICK, "--no-cumulative")
    assert "8 training images" in result.stdout
    assert "features.10" in result.stdout
    assert "up to" not in result.stdout


@pytest.mark.slow
def test_an_estimate_by_gradients_says_that_it_is_one(call: Call) -> None:
    result = call("analyze", "sensitivity", *QUICK, "--by", "fisher", "--front", "-f", "json")
    found = json.loads(result.stdout)
    assert found["by"] == "fisher"
    assert all(row["cumulative_divergence"] is None for row in found["layers"])
    assert found["front"]
    assert "estimated by fisher" in call("analyze", "sensitivity", *QUICK, "--by", "fisher").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("digitnett", "digits"), "Did you mean 'digitnet'"),
        (("digitnet", "digits", "--quantizer", "kmean"), "known are symmetric"),
        (("digitnet", "digits", "--to", "a.png"), "ends in .html"),
        (("digitnet", "digits", "--by", "taylor"), "known are divergence, fisher, hessian"),
        (("digitnet", "digits", "--by", "fisher", "--rounding", "gptq"), "leave the rounding"),
        (("digitnet", "digits", "--by", "fisher", "--cumulative"), "each layer alone"),
        (("nosuch:3", "digits"), "No store"),
    ],
)
def test_a_wrong_word_is_told(call: Call, words: tuple[str, ...], told: str) -> None:
    result = call("analyze", "sensitivity", *words)
    assert result.exit_code in (1, 2)
    assert told in result.stderr
