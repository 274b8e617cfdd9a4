"""Views of a sweep as figures."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.constraints import Constraint
from orchestrator.errors import OrchestratorError, UnknownNameError
from orchestrator.objectives import Objective
from orchestrator.plots.views import parameters, progress, values
from orchestrator.plots.views.drawn import LOOKS, Drawn, Mark
from orchestrator.trials import Attempt, Failure, FailureKind, Report, Trial, TrialState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def drawn(trials: list[Trial], objectives: Sequence[Objective]) -> Drawn:
    """Three on the front, one beaten, one outside the limit, one stopped, one failed."""
    first = trials[0]
    outside = replace(
        first, number=4, values={**first.values, "accuracy": 0.2}, params={"bits": 2}
    )
    stopped = replace(first, number=5, state=TrialState.STOPPED, values={})
    failed = replace(
        first,
        number=6,
        state=TrialState.FAILED,
        values={},
        failure=Failure(FailureKind.ERROR, "no <b>memory</b>"),
    )
    ended = [
        replace(trial, ended=NOON + timedelta(minutes=trial.number))
        for trial in [*trials, outside, stopped, failed]
    ]
    limits = [Constraint.parse("accuracy >= 0.5")]
    return Drawn("digits-fc", ended, objectives[:3], limits, frozenset({0, 1, 2}))


def test_no_two_marks_share_a_symbol_or_a_color() -> None:
    assert len({look.symbol for look in LOOKS.values()}) == len(Mark)
    assert len({look.color for look in LOOKS.values()}) == len(Mark)


def test_infeasible_and_failed_trials_have_marks_of_their_own(drawn: Drawn) -> None:
    figure = parameters.slice_figure(drawn, drawn.objectives[0])
    counts = {trace.name: len(trace.x) for trace in figure.data}
    assert counts == {"front": 3, "other trial": 1, "outside a constraint": 1, "failed": 1}
    (failed,) = [trace for trace in figure.data if trace.name == "failed"]
    measured = [y for trace in figure.data if trace.name != "failed" for y in trace.y]
    assert failed.y[0] < min(measured)
    assert "<b>memory" not in failed.hovertext[0]


def test_a_parameter_of_one_value_is_not_drawn_and_an_unknown_one_is_an_error(
    drawn: Drawn,
) -> None:
    assert parameters.chosen_parameters(drawn, (), 9) == ["bits"]
    with pytest.raises(UnknownNameError, match="bits"):
        parameters.slice_figure(drawn, drawn.objectives[0], ["bitz"])
    with pytest.raises(OrchestratorError, match="two parameters"):
        parameters.contour_figure(drawn, drawn.objectives[0])


def test_words_lie_side_by_side_and_true_is_not_one() -> None:
    trials = [
        Trial("s", n, {"p": value}, 0, TrialState.COMPLETE)
        for n, value in enumerate([True, False, "one", True])
    ]
    axis = parameters.ParameterAxis.of("p", trials)
    assert len(axis.words) == 3
    places = [axis.place(trial) for trial in trials]
    assert len(set(places)) == 4  # equal words are not one dot
    assert axis.place(trials[0], exact=True) == axis.place(trials[3], exact=True)


def test_the_best_trial_has_the_highest_rank(drawn: Drawn) -> None:
    both = [replace(t, params={**t.params, "lr": 10.0**-t.number}) for t in drawn.trials]
    figure = parameters.rank_figure(replace(drawn, trials=both), drawn.objectives[1])
    (trace,) = figure.data
    best = max(range(len(trace.x)), key=lambda at: trace.marker.color[at])
    assert "trial 2" in trace.hovertext[best]  # 9 kB, the smallest


def test_a_contour_is_the_mean_of_each_cell(drawn: Drawn) -> None:
    measured = drawn.trials[:4]
    both = [replace(t, params={"bits": t.number // 2, "lr": 1.0 + t.number % 2}) for t in measured]
    both.append(replace(both[0], number=9, values={**both[0].values, "accuracy": 0.90}))
    figure = parameters.contour_figure(replace(drawn, trials=both), drawn.objectives[0])
    assert figure.data[0].z[0][0] == pytest.approx((0.96 + 0.90) / 2)


def test_learning_curves_end_in_the_mark_of_what_became_of_the_trial(drawn: Drawn) -> None:
    reports = {
        number: [Report(epoch, {"float_accuracy": epoch / 10}) for epoch in (1, 2)]
        for number in (0, 5)
    }
    figure = progress.curves_figure(drawn, reports)
    assert "float accuracy" in figure.layout.title.text
    shown = [trace for trace in figure.data if trace.mode == "markers"]
    assert {trace.name: list(trace.y) for trace in shown} == {
        "front": [0.2],
        "stopped early": [0.2],
    }
    with pytest.raises(OrchestratorError, match="float_accuracy"):
        progress.curves_figure(drawn, reports, "loss")


def test_what_a_worker_does_at_once_lies_side_by_side() -> None:
    def attempt(begin: int, end: int, worker: str) -> Attempt:
        times = (NOON + timedelta(seconds=second) for second in (begin, end))
        return Attempt(0, TrialState.COMPLETE, worker, *times)

    attempts = {
        0: [attempt(0, 10, "a")],
        1: [attempt(5, 9, "a")],
        2: [attempt(10, 12, "a")],
        3: [attempt(0, 3, "b")],
    }
    (bars,) = progress.timeline_figure("s", attempts).data
    rows = {text.partition(",")[0]: y for text, y in zip(bars.hovertext, bars.y, strict=True)}
    assert rows["<b>trial 0</b>"] == rows["<b>trial 2</b>"] != rows["<b>trial 1</b>"]
    assert rows["<b>trial 3</b>"] == 2


def test_the_slider_goes_back_to_the_front_of_earlier_trials(drawn: Drawn) -> None:
    two = replace(drawn, objectives=drawn.objectives[:2])
    figure = progress.front_over_time(two)
    (slider,) = figure.layout.sliders
    fronts = [len(step.args[0]["x"][1]) for step in slider.steps]
    assert fronts == [1, 2, 3, 3, 3]
    assert list(figure.data[1].x) == slider.steps[-1].args[0]["x"][1]


@pytest.mark.parametrize(("count", "pairs"), [(2, 1), (3, 3), (4, 6)])
def test_each_pair_of_objectives_has_a_plane(
    drawn: Drawn, objectives: Sequence[Objective], count: int, pairs: int
) -> None:
    figure = values.projections_figure(replace(drawn, objectives=objectives[:count]))
    assert len({trace.xaxis for trace in figure.data}) == pairs


def test_accuracy_over_epsilon_begins_where_nothing_is_attacked() -> None:
    spec = {
        "objectives": {
            "accuracy": {"direction": "maximize"},
            "robust_accuracy": {"attack": "pgd", "epsilon": 0.1, "norm": "linf"},
        },
        "measures": {
            "robust_accuracy_weak": {"attack": "pgd", "epsilon": 0.02, "norm": "linf"},
            "robust_accuracy_l2": {"attack": "pgd", "epsilon": 1.0, "norm": "l2"},
        },
        "front_measures": {"robust_accuracy_of_reference": {"attack": "pgd", "epsilon": 0.1}},
    }
    measured = {"accuracy": 0.9, "robust_accuracy": 0.3, "robust_accuracy_weak": 0.8}
    trial = Trial("s", 0, {}, 0, TrialState.COMPLETE, values=measured)
    (line,) = values.epsilon_figure([trial], values.attacks_of(spec)).data
    assert list(line.x) == [0.0, 0.02, 0.1]
    assert list(line.y) == [0.9, 0.8, 0.3]


def test_bytes_of_layers_add_up_to_the_file_whatever_their_number() -> None:
    sizes = {1: {f"layer.{n}": n for n in range(1, 30)}, 2: {"layer.1": 7}}
    figure = values.layers_figure(sizes)
    assert sum(sum(bar.x) for bar in figure.data) == sum(range(1, 30)) + 7
    assert len({(bar.marker.color, bar.marker.pattern.shape) for bar in figure.data}) == len(
        figure.data
    )


def test_half_of_the_trials_are_at_or_below_the_median(drawn: Drawn) -> None:
    figure = values.distribution_figure(drawn)
    line = figure.data[0]
    assert list(line.y) == [0.2, 0.4, 0.6, 0.8, 1.0]


def test_of_ten_thousand_trials_two_thousand_and_the_front_are_drawn(drawn: Drawn) -> None:
    first = drawn.trials[3]
    many = [replace(first, number=n, params={"bits": n % 7}) for n in range(7, 10_007)]
    great = replace(drawn, trials=[*drawn.trials, *many])
    figure = parameters.slice_figure(great, drawn.objectives[0])
    assert 2_000 <= sum(len(trace.x) for trace in figure.data) <= 2_010
    assert "trials are drawn, the front among them" in figure.layout.title.text
    (front,) = [trace for trace in figure.data if trace.name == "front"]
    assert len(front.x) == 3


def test_a_sweep_without_complete_trials_says_so(drawn: Drawn) -> None:
    empty = replace(drawn, trials=[], front=frozenset())
    for draw in (
        lambda: parameters.slice_figure(empty, drawn.objectives[0]),
        lambda: values.distribution_figure(empty),
        lambda: values.projections_figure(empty),
        lambda: progress.front_over_time(empty),
        lambda: progress.timeline_figure("digits-fc", {}),
        lambda: values.layers_figure({}),
        lambda: values.epsilon_figure([], []),
    ):
        with pytest.raises(OrchestratorError, match=r"^No |There is no"):
            draw()
