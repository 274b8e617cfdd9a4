"""``pick --min --keep`` on a real store with real answers on disk."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from orchestrator.contracts import Outcome
from orchestrator.storage.opening import open_store
from orchestrator.trials import REFERENCE_ATTRS, Artifact, TrialState
from trainers.files.predictions import Predictions, write_predictions

Call = Callable[..., Result]
LABELS = np.arange(1_000) % 10
# Wrong answers and bytes by trial; the first is the reference.
TRIALS = [(10, 300_000), (12, 60_000), (60, 20_000)]


@pytest.fixture
def compared(filled: Path, spec: Mapping[str, object]) -> Path:
    """A second sweep with a reference, one good small trial, and a smaller bad one."""
    store = open_store(None)
    store.create_sweep("sized", {**spec, "name": "sized", "constraints": []}, "s")
    writer = store.take("sized", "test")
    for number, (wrong, size) in enumerate(TRIALS):
        folder = filled / f"sized-{number}"
        folder.mkdir()
        predicted = np.where(np.arange(1_000) < wrong, LABELS + 1, LABELS)
        write_predictions(folder / "predictions.npz", Predictions(LABELS, predicted))
        attrs = {} if number else REFERENCE_ATTRS
        params = {"bits": number} if number else {}
        trial = writer.add_trial(params, seed=0, sampler_attrs=attrs)
        attempt = writer.start_attempt(trial.number, "w")
        values = {"accuracy": (1_000 - wrong) / 1_000, "memory_bytes": float(size)}
        artifact = Artifact(str(folder / "model.safetensors"), size, "0" * 64)
        outcome = Outcome(TrialState.COMPLETE, values=values, artifact=artifact)
        writer.finish_attempt(trial.number, attempt.number, outcome)
    writer.release()
    return filled


def test_the_smallest_that_is_not_measurably_worse_is_picked(compared: Path, call: Call) -> None:
    words = ("pick", "sized", "--min", "memory_bytes", "--keep", "accuracy")
    text = call(*words).stdout
    assert text.startswith(
        "Trial 1 (60.0 kB) is 80 % smaller than the reference (trial 0, 300 kB)"
    )
    assert "at a margin of 2 points" in text
    record = json.loads(call(*words, "-f", "json").stdout)
    assert record["trial"] == 1
    assert "after Holm over 2 comparisons" in record["reason"]
    wider = json.loads(call(*words, "--margin", "0.1", "-f", "json").stdout)
    assert wider["trial"] == 2


def test_a_condition_on_what_was_measured_is_corrected_for(compared: Path, call: Call) -> None:
    words = ("pick", "sized", "--min", "memory_bytes", "--keep", "accuracy", "-f", "json")
    record = json.loads(call(*words, "--where", "accuracy >= 0.98").stdout)
    assert record["trial"] == 1
    assert "after Holm over 2 comparisons" in record["reason"]


@pytest.mark.slow
def test_a_pick_says_whether_it_was_claimed_beforehand_and_counts_the_looks(
    compared: Path, spec: Mapping[str, object], call: Call
) -> None:
    words = ("pick", "sized", "--min", "memory_bytes", "--keep", "accuracy")
    first = call(*words).stdout
    assert "The sweep file fixed no claim" in first
    assert "the first look" in first
    assert "the first look" in call(*words).stdout
    assert "looked at 2 times, at 2 claims" in call(*words, "--margin", "10 points").stdout
    # A refusal is a look too.
    refused = call(*words, "--margin", "0.001")
    assert refused.exit_code == 1
    assert "looked at 3 times" in refused.stderr
    store = open_store(None)
    claim = {"keep": ["accuracy"], "margin": 0.1, "alpha": 0.05, "family": None}
    writer = store.take("sized", "test")
    writer.set_spec({**spec, "name": "sized", "constraints": [], "claim": claim})
    writer.release()
    fixed = json.loads(call("pick", "sized", "--min", "memory_bytes", "-f", "json").stdout)
    assert fixed["trial"] == 2
    assert "The claim was fixed in the sweep file before the first trial" in fixed["reason"]


def test_a_report_says_whether_its_claim_was_fixed(
    compared: Path, call: Call, tmp_path: Path
) -> None:
    to = tmp_path / "report.html"
    told = call("report", "sized", "--to", to).stdout
    assert "The sweep file fixed no claim" in told
    assert "This is the first look at its comparisons." in told
    assert "The sweep file fixed no claim" in to.read_text(encoding="utf-8")
    # The other command makes the same comparison: no further look.
    words = ("pick", "sized", "--min", "memory_bytes", "--keep", "accuracy")
    assert "the first look" in call(*words).stdout


@pytest.mark.slow
def test_when_nothing_qualifies_exit_1_and_the_nearest(compared: Path, call: Call) -> None:
    words = ("pick", "sized", "--min", "memory_bytes", "--keep", "accuracy", "--margin", "0.001")
    result = call(*words)
    assert result.exit_code == 1
    assert "Nearest came trial 1" in result.stderr
    assert "Traceback" not in result.output


def test_a_sweep_without_a_reference_exits_1_and_says_how_to_get_one(
    filled: Path, call: Call
) -> None:
    result = call("pick", "digits-fc", "--min", "memory_bytes", "--keep", "accuracy")
    assert result.exit_code == 1
    assert "reference: true" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--min", "memory_bytes"), "--keep"),
        (("--keep", "accuracy"), "--min VALUE"),
        (("--knee", "--min", "memory_bytes", "--keep", "accuracy"), "exactly one"),
        (("--min", "memory_bytes", "--keep", ","), "what is to be kept"),
        (("--min", "memory", "--keep", "accuracy"), "no value 'memory'"),
        (("--min", "memory_bytes", "--keep", "macs"), "Known: accuracy"),
        (("--min", "memory_bytes", "--keep", "accuracy", "--margin", "3"), "margin is 3"),
    ],
)
def test_wrong_use_exits_2_and_says_what_is_accepted(
    compared: Path, call: Call, words: tuple[str, ...], told: str
) -> None:
    result = call("pick", "sized", *words)
    assert result.exit_code == 2
    assert told in result.stderr
