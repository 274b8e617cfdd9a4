"""``front`` and ``pick`` on a real store."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from typer.testing import Result

from orchestrator.contracts import Outcome
from orchestrator.storage.opening import open_store
from orchestrator.trials import TrialState

Call = Callable[..., Result]


@pytest.fixture
def infeasible(filled: Path, spec: Mapping[str, object]) -> Path:
    """A second sweep, none of whose trials meets its constraints."""
    store = open_store(None)
    store.create_sweep("too-big", {**spec, "name": "too-big"}, "g")
    writer = store.take("too-big", "test")
    for size in (900e3, 950e3):
        trial = writer.add_trial({"bits": 8}, seed=0)
        attempt = writer.start_attempt(trial.number, "w")
        values = {"accuracy": 0.97, "memory_bytes": size}
        outcome = Outcome(TrialState.COMPLETE, values=values)
        writer.finish_attempt(trial.number, attempt.number, outcome)
    writer.release()
    return filled


def test_the_front_is_a_list_of_records(filled: Path, call: Call) -> None:
    records = json.loads(call("front", "digits-fc", "--format", "json").stdout)
    assert [record["trial"] for record in records] == [0, 1, 2]
    for record in records:
        assert {"trial", "params", "values", "mlflow_run_id", "artifact"} <= record.keys()


def test_the_table_is_readable_and_marks_the_knee(filled: Path, call: Call) -> None:
    text = call("front", "digits-fc").stdout
    assert "3 of 5 complete trials" in text
    assert [line.split()[1] for line in text.splitlines() if line.split()[:1] == ["→"]] == ["1"]
    assert "→ is the knee, the most balanced: trial 1." in text
    assert "22.4 kB" in text
    assert "accuracy ↑" in text


@pytest.mark.slow
def test_other_objectives_and_a_condition_change_the_front(filled: Path, call: Call) -> None:
    words = ("front", "digits-fc", "-f", "json", "--objectives")
    assert [r["trial"] for r in json.loads(call(*words, "accuracy").stdout)] == [0]
    reverse = json.loads(call(*words, "memory_bytes:max, accuracy:min").stdout)
    assert 3 in [r["trial"] for r in reverse]
    low = json.loads(call("front", "digits-fc", "-f", "json", "--where", "bits < 6").stdout)
    assert [r["trial"] for r in low] == [3, 4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("front",), "paretune front digits-fc"),
        (("front", "digits"), "Did you mean 'digits-fc'?"),
        (("front", "digits-fc", "--objectives", "acuracy"), "accuracy, memory_bytes"),
        (("front", "digits-fc", "--where", "bitz < 4"), "Did you mean 'bits'?"),
        (("front", "digits-fc", "--where", "bits <"), "bits <"),
        (("front", "digits-fc", "--set", "train"), "train"),
        (("front", "digits-fc", "other", "--set", "test"), "exactly one"),
        (("front", "--experiment", "x"), "--tracking-uri"),
        (("front", "digits-fc", "--plot", "front.gif"), ".html, .png, .svg or .pdf"),
        (("pick", "digits-fc"), "--knee"),
        (("pick", "digits-fc", "--knee", "--under", "memory_bytes=1MB"), "exactly one"),
        (("pick", "digits-fc", "--knee", "--objective", "accuracy"), "exactly one"),
        (("pick", "digits-fc", "--under", "200kB"), "memory_bytes=200kB"),
        (("pick", "digits-fc", "--under", "memory=200kB"), "memory_bytes"),
        (("pick", "digits-fc", "--under", "memory_bytes=many"), "not a quantity"),
    ],
)
def test_wrong_use_exits_2_and_says_what_is_accepted(
    filled: Path, call: Call, words: tuple[str, ...], told: str
) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Traceback" not in result.output


def test_an_empty_front_explains_itself(filled: Path, call: Call) -> None:
    result = call("front", "digits-fc", "--where", "bits > 8", "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])
    assert "The front is empty" in result.stderr
    assert "'bits > 8'" in result.stderr


def test_an_infeasible_front_is_labeled(infeasible: Path, call: Call) -> None:
    assert "No trial meets the constraints" in call("front", "too-big").stdout
    result = call("front", "too-big", "-f", "json")
    assert "No trial meets the constraints" in result.stderr
    assert len(json.loads(result.stdout)) == 1
    assert "No trial meets the constraints" in call("pick", "too-big", "--knee").stdout


def test_sweeps_compete_together_in_one_front(infeasible: Path, call: Call) -> None:
    records = json.loads(call("front", "digits-fc", "too-big", "-f", "json").stdout)
    assert {record["sweep"] for record in records} == {"digits-fc"}


def test_the_plot_is_one_file_that_needs_no_network(
    filled: Path, call: Call, tmp_path: Path
) -> None:
    file = tmp_path / "front.html"
    result = call("front", "digits-fc", "--plot", file, "-f", "json")
    json.loads(result.stdout)
    assert str(file) in result.stderr
    page = file.read_text(encoding="utf-8")
    assert "<script src=" not in page
    assert "digits-fc: 3 of 5 trials" in page


def test_the_knee_is_picked_with_its_reason(filled: Path, call: Call) -> None:
    assert call("pick", "digits-fc", "--knee").stdout.startswith("Trial 1 is the knee")
    record = json.loads(call("pick", "digits-fc", "--knee", "-f", "json").stdout)
    assert record["trial"] == 1
    assert record["reason"].endswith(".")


def test_the_best_within_a_limit_is_picked(filled: Path, call: Call) -> None:
    words = ("pick", "digits-fc", "-f", "json", "--under")
    assert json.loads(call(*words, "memory_bytes=30kB").stdout)["trial"] == 1
    by_size = call(*words, "memory_bytes=30kB", "--objective", "memory_bytes")
    assert json.loads(by_size.stdout)["trial"] == 2
    assert json.loads(call(*words, "accuracy=0.95").stdout)["trial"] == 0
    text = call("pick", "digits-fc", "--under", "memory_bytes=30kB").stdout
    assert "Trial 1 has the best accuracy, 94.0 %," in text
    assert "its memory is 22.4 kB" in text


@pytest.mark.slow
def test_the_pick_can_be_limited_by_a_condition(filled: Path, call: Call) -> None:
    words = ("pick", "digits-fc", "-f", "json", "--under", "memory_bytes=1MB")
    first = json.loads(call(*words).stdout)["trial"]
    other = call(*words, "--where", "memory_bytes <= 30kB")
    assert json.loads(other.stdout)["trial"] != first
    none = call("pick", "digits-fc", "--knee", "--where", "memory_bytes <= 1kB")
    assert none.exit_code == 1
    assert "no complete trial with memory_bytes <= 1kB" in none.stderr


def test_a_limit_that_nothing_meets_exits_1_and_says_how_near_one_is(
    filled: Path, call: Call
) -> None:
    result = call("pick", "digits-fc", "--under", "memory_bytes=1kB")
    assert result.exit_code == 1
    assert "9000" in result.stderr


def test_intervals_are_added_to_the_records_on_wish(filled: Path, call: Call) -> None:
    plain = json.loads(call("front", "digits-fc", "-f", "json").stdout)
    assert all("intervals" not in record for record in plain)
    result = call("front", "digits-fc", "--intervals", "-f", "json")
    records = json.loads(result.stdout)
    # These trials keep no answers: said, and no reason to fail.
    assert [record["intervals"] for record in records] == [{}, {}, {}]
    assert "How likely members are on the front cannot be said." in result.stderr
    assert call("front", "digits-fc", "--intervals").exit_code == 0


@pytest.mark.slow
def test_members_are_the_same_on_test_and_chosen_anew_only_when_asked(
    filled: Path, call: Call
) -> None:
    store = open_store(None)
    writer = store.take("digits-fc", "test")
    for trial, tested in enumerate((0.90, 0.91, 0.80)):
        writer.add_values(trial, {"test_accuracy": tested})
    writer.release()
    words = ("front", "digits-fc", "-f", "json")
    chosen = json.loads(call(*words).stdout)
    assert json.loads(call(*words, "--set", "test").stdout) == chosen
    anew = json.loads(call(*words, "--select-on", "test").stdout)
    assert [record["trial"] for record in anew] == [1, 2]
    text = call("front", "digits-fc", "--set", "test").stdout
    assert "90.0 %" in text
    assert "96.0 %" not in text
    assert "chosen by validation values, and are shown by those of the test set" in text
    assert "which flatter them" in call("front", "digits-fc", "--select-on", "test").stdout
    both = call("front", "digits-fc").stdout
    assert "90.0 %" in both
    assert "96.0 %" in both
