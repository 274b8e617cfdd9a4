import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.constraints import Constraint
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.fronts.front import compute_front
from orchestrator.objectives import Direction, Objective
from orchestrator.trials import Artifact, Trial, TrialState

ACCURACY = Objective("accuracy", Direction.MAXIMIZE)
MEMORY = Objective("memory_bytes", Direction.MINIMIZE)


def trial(number, accuracy, memory, state=TrialState.COMPLETE, sweep="s", **params) -> Trial:
    values = {"accuracy": accuracy, "memory_bytes": memory}
    return Trial(sweep, number, params or {"bits": number}, 0, state, values=values)


TRIALS = [
    trial(0, 0.70, 100.0),
    trial(1, 0.90, 400.0),
    trial(2, 0.80, 150.0),
    trial(3, 0.75, 300.0),  # beaten by 2
    trial(4, 0.80, 150.0),  # ties with 2
]


def numbers(front) -> list[int]:
    return [member.trial for member in front]


def test_members_stand_best_first_and_ties_are_all_listed() -> None:
    assert numbers(compute_front(TRIALS, [ACCURACY, MEMORY])) == [1, 2, 4, 0]
    assert numbers(compute_front(TRIALS, [MEMORY, ACCURACY])) == [0, 2, 4, 1]


@given(st.permutations(TRIALS))
def test_the_order_of_the_trials_does_not_matter(trials) -> None:
    given_otherwise = compute_front(trials, [ACCURACY, MEMORY])
    assert given_otherwise.members == compute_front(TRIALS, [ACCURACY, MEMORY]).members


@pytest.mark.parametrize("state", [s for s in TrialState if s is not TrialState.COMPLETE])
def test_only_complete_trials_compete(state) -> None:
    better = trial(9, 1.0, 1.0, state)
    front = compute_front([*TRIALS, better], [ACCURACY, MEMORY])
    assert numbers(front) == [1, 2, 4, 0]
    assert front.left_out == 0


@pytest.mark.parametrize("value", [math.nan, None])
def test_a_trial_without_a_number_for_an_objective_is_left_out_and_counted(value) -> None:
    values = {"accuracy": 1.0} if value is None else {"accuracy": 1.0, "memory_bytes": value}
    odd = Trial("s", 9, {}, 0, TrialState.COMPLETE, values=values)
    front = compute_front([*TRIALS, odd], [ACCURACY, MEMORY])
    assert numbers(front) == [1, 2, 4, 0]
    assert front.left_out == 1
    assert [t.number for t in front.others] == [3]


def test_only_feasible_trials_compete() -> None:
    front = compute_front(TRIALS, [ACCURACY, MEMORY], [Constraint("memory_bytes", "<=", 200.0)])
    assert numbers(front) == [2, 4, 0]
    assert front.feasible
    assert [t.number for t in front.others] == [1, 3]


def test_where_nothing_is_feasible_the_least_violating_are_shown_and_labelled() -> None:
    limits = [Constraint("memory_bytes", "<=", 50.0), Constraint("accuracy", ">=", 0.95)]
    front = compute_front(TRIALS, [ACCURACY, MEMORY], limits)
    assert numbers(front) == [0]
    assert not front.feasible
    assert "least violating" in repr(front)


def test_no_trials_give_an_empty_front_that_answers() -> None:
    front = compute_front([], [ACCURACY, MEMORY])
    assert len(front) == 0
    assert front.feasible
    assert front.hypervolume() == 0.0
    assert front.to_frame().empty
    for question in (front.knee, lambda: front.under("memory_bytes", 1)):
        with pytest.raises(OrchestratorError):
            question()


@pytest.mark.parametrize("objectives", [[], [ACCURACY, ACCURACY]])
def test_no_objective_or_the_same_one_twice_is_refused(objectives) -> None:
    with pytest.raises(UsageError, match="each named once"):
        compute_front(TRIALS, objectives)


def test_one_objective_has_its_best_trials_as_front() -> None:
    assert numbers(compute_front(TRIALS, [MEMORY])) == [0]


def test_a_front_is_a_sequence() -> None:
    front = compute_front(TRIALS, [ACCURACY, MEMORY])
    assert front[0].trial == front[-4].trial == 1
    assert [member.trial for member in front[1:3]] == [2, 4]
    assert front[0] in front
    assert len(front) == 4


def test_hypervolume_grows_with_the_front_at_a_given_reference() -> None:
    reference = {"accuracy": 0.5, "memory_bytes": 500.0}
    some, all_ = (compute_front(t, [ACCURACY, MEMORY]) for t in (TRIALS[:1], TRIALS))
    assert some.hypervolume(reference) == pytest.approx(0.2 * 400)
    # 0.5-0.7 up to 100, 0.7-0.8 up to 150, 0.8-0.9 up to 400
    assert all_.hypervolume(reference) == pytest.approx(0.2 * 400 + 0.1 * 350 + 0.1 * 100)


def test_the_default_reference_is_behind_all_trials_of_the_query() -> None:
    front = compute_front(TRIALS, [ACCURACY, MEMORY])
    reference = {"accuracy": 0.70 - 0.02, "memory_bytes": 400 + 30}
    assert front.hypervolume() == pytest.approx(front.hypervolume(reference))


@pytest.mark.parametrize("reference", [{}, {"accuracy": 1.0}, {"accuracy": 1.0, "macs": 1.0}])
def test_a_reference_needs_one_number_an_objective(reference) -> None:
    with pytest.raises(UsageError, match="one number for each of accuracy, memory_bytes"):
        compute_front(TRIALS, [ACCURACY, MEMORY]).hypervolume(reference)


def test_the_knee_is_a_member() -> None:
    assert compute_front(TRIALS, [ACCURACY, MEMORY]).knee().trial == 2


@pytest.mark.parametrize(
    ("name", "limit", "chosen"),
    [
        ("memory_bytes", 399.9, 2),
        ("memory_bytes", "0.4kB", 1),
        ("memory_bytes", 100, 0),
        ("accuracy", 0.75, 2),  # at least, and then the smallest
        ("accuracy", "0.85", 1),
    ],
)
def test_under_a_limit_the_best_by_the_first_other_objective_is_chosen(
    name, limit, chosen
) -> None:
    assert compute_front(TRIALS, [ACCURACY, MEMORY]).under(name, limit).trial == chosen


def test_the_deciding_objective_can_be_named() -> None:
    front = compute_front(TRIALS, [ACCURACY, MEMORY])
    assert front.under("memory_bytes", 500, best="memory_bytes").trial == 0
    with pytest.raises(UnknownNameError, match="memory_bytes"):
        front.under("memory_bytes", 500, best="memory")


def test_a_limit_that_no_member_keeps_is_answered_with_the_nearest() -> None:
    front = compute_front(TRIALS, [ACCURACY, MEMORY])
    with pytest.raises(OrchestratorError, match=r"at most 50; the nearest has 100"):
        front.under("memory_bytes", 50)
    with pytest.raises(OrchestratorError, match=r"at least 0.99; the nearest has 0.9\."):
        front.under("accuracy", 0.99)


def test_a_limit_on_what_was_not_measured_is_answered_with_what_was() -> None:
    with pytest.raises(UnknownNameError, match="accuracy, memory_bytes"):
        compute_front(TRIALS, [ACCURACY, MEMORY]).under("latency_ms", 3)


def test_a_member_is_printed_with_exactly_the_promised_keys() -> None:
    artifact = Artifact("out/m.safetensors", 100, "00")
    one = Trial("s", 3, {"bits": 4}, 0, TrialState.COMPLETE, values={"accuracy": 0.5},
                artifact=artifact, mlflow_run_id="abc")  # fmt: skip
    assert compute_front([one], [ACCURACY])[0].as_json() == {
        "sweep": "s",
        "trial": 3,
        "params": {"bits": 4},
        "values": {"accuracy": 0.5},
        "mlflow_run_id": "abc",
        "artifact": "out/m.safetensors",
    }


def test_a_frame_has_a_row_a_member_and_keeps_names_apart() -> None:
    one = Trial("s", 3, {"bits": 4, "accuracy": "high", "trial": 1}, 0, TrialState.COMPLETE,
                values={"accuracy": 0.5})  # fmt: skip
    frame = compute_front([one], [ACCURACY]).to_frame()
    assert frame.iloc[0].to_dict() == {
        "sweep": "s", "trial": 3, "bits": 4, "params.accuracy": "high", "params.trial": 1,
        "accuracy": 0.5, "mlflow_run_id": None, "artifact": None,
    }  # fmt: skip


def test_a_front_prints_its_members() -> None:
    text = repr(compute_front(TRIALS, [ACCURACY, MEMORY]))
    assert text.splitlines()[:2] == [
        "Front of 4 over accuracy (maximize), memory_bytes (minimize)",
        "  s #1  accuracy=0.9  memory_bytes=400  |  bits=1",
    ]


def test_a_plot_is_an_html_file_that_needs_no_network(tmp_path: Path) -> None:
    front = compute_front(TRIALS, [ACCURACY, MEMORY])
    page = front.plot(tmp_path / "front.html").read_text()
    assert "memory_bytes" in page or "memory" in page
    assert 'src="http' not in page
    with pytest.raises(UsageError, match=r"\.html"):
        front.plot(tmp_path / "front.gif")


def test_a_member_without_artifact_cannot_be_loaded_and_says_so() -> None:
    with pytest.raises(OrchestratorError, match="Trial 1 of 's' has no packed network"):
        compute_front(TRIALS, [ACCURACY, MEMORY])[0].load_model()


def test_a_member_loads_its_packed_network(tmp_path: Path) -> None:
    from trainers.artifact import write_artifact
    from trainers.networks.network import build_network
    from trainers.quantization import QuantizationConfig

    network = build_network("digitnet", weights="scratch", widths=(6,), classes=3).eval()
    config = QuantizationConfig(bits=4, fc_bits=4)
    info = write_artifact(network, tmp_path / "m", quantization=config, classes=None)
    artifact = Artifact(str(tmp_path / "m"), info.bytes, "")
    values = {"memory_bytes": float(info.bytes)}
    one = Trial("s", 0, {}, 0, TrialState.COMPLETE, values=values, artifact=artifact)
    loaded = compute_front([one], [MEMORY])[0].load_model()
    assert loaded.state_dict().keys() == network.state_dict().keys()
