"""The model sampler: the contract of samplers, and what it knows that others do not."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from orchestrator.constraints import Constraint
from orchestrator.contracts import Sampler
from orchestrator.errors import UsageError
from orchestrator.objectives import Direction, Objective
from orchestrator.sampling import build_sampler
from orchestrator.sampling.features import Features, neighbors
from orchestrator.sampling.front_gain import behind_extensions
from orchestrator.sampling.gaussian_process import GaussianProcess
from orchestrator.sampling.model_sampler import FIRST, ModelSampler
from orchestrator.testing.sampler_contract import SamplerContract
from orchestrator.trials import Params, Trial, TrialState
from search_spaces import Choice, Condition, Float, Int, SearchSpace

pytestmark = pytest.mark.slow

GOALS = (Objective("loss", Direction.MINIMIZE), Objective("size", Direction.MINIMIZE))
SPACE = SearchSpace({"a": Int(0, 30), "b": Int(0, 30), "c": Choice(("x", "y", "z"))})


class TestModelSampler(SamplerContract):
    def build(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        seed: int,
    ) -> Sampler:
        return ModelSampler(space, objectives, constraints, seed=seed)


def measured(params: Params) -> dict[str, float]:
    a, b = float(params["a"]), float(params["b"])
    return {"loss": abs(a - 20) + abs(b - 10) + 5 * (params["c"] != "y"), "size": a + b}


def searched(sampler: Sampler, trials: int) -> list[Mapping[str, float]]:
    found = []
    for number in range(trials):
        suggestion = sampler.suggest()
        assert suggestion is not None
        values = measured(suggestion.params)
        sampler.observe(
            Trial("s", number, suggestion.params, 0, TrialState.COMPLETE, values=values)
        )
        found.append(values)
    return found


def test_it_finds_the_front_of_a_smooth_function() -> None:
    found = searched(ModelSampler(SPACE, GOALS, seed=1), FIRST + 25)
    # 13 of 2,883 configurations are that good; chance finds one in a seventh of all searches.
    assert min(values["loss"] for values in found) <= 2
    assert min(values["size"] for values in found) <= 4


def test_what_is_known_before_training_is_taken_as_it_is() -> None:
    asked: list[Params] = []

    def known(params: Params) -> Mapping[str, float]:
        asked.append(params)
        return {"size": measured(params)["size"]}

    sampler = ModelSampler(SPACE, GOALS, seed=0, known=known)
    searched(sampler, FIRST + 1)
    assert asked
    (candidate,) = [{"a": 1, "b": 2, "c": "x"}]
    _, deviations, _, _ = sampler._model.predict([candidate], [])
    assert deviations[0, 1] == 0.0 < deviations[0, 0]


def test_what_runs_is_not_proposed_once_more_nearby() -> None:
    sampler = ModelSampler(SPACE, GOALS, seed=0)
    searched(sampler, FIRST)
    flying = [sampler.suggest() for _ in range(4)]
    keys = {str(each.params) for each in flying if each is not None}
    assert len(keys) == 4


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0)])
def test_a_process_finds_which_feature_counts(weights: tuple[float, float]) -> None:
    x = np.random.default_rng(0).random((40, 2))
    apart = (x[:, None] - x[None]) ** 2
    process = GaussianProcess(apart, np.sin(6 * x @ np.array(weights)))
    found = process.found.log_weights
    assert (found[0] > found[1]) == (weights[0] > weights[1])
    mean, deviation = process.predict(apart[:5])
    assert np.allclose(mean, np.sin(6 * x[:5] @ np.array(weights)), atol=0.1)
    assert (deviation < 0.3).all()


def test_distances_tell_ranges_options_and_what_is_absent_apart() -> None:
    space = SearchSpace({"lr": Float(0.01, 1.0, log=True), "op": Choice(("a", "b", "c"))})
    features = Features(space, lambda params: {})
    rows = features.rows([{"lr": 0.01, "op": "a"}, {"lr": 1.0, "op": "c"}, {"op": "a"}])
    apart = features.apart(rows, rows)
    assert apart[0, 1].tolist() == [1.0, 1.0]
    assert apart[0, 2].tolist() == [1.0, 0.0]
    assert apart[2, 2].tolist() == [0.0, 0.0]


def test_neighbors_are_configurations_of_the_space() -> None:
    space = SearchSpace(
        {"lr": Float(0.01, 1.0, log=True), "w": Int(1, 9, step=2), "op": Choice((1, True))}
    )
    params = {"lr": 0.01, "w": 9, "op": 1}
    found = list(neighbors(space, params, random.Random(0)))
    assert len(found) >= 5
    for each in found:
        assert space.canonical(each) == each
        assert sum(each[name] is not params[name] for name in params) == 1


def test_auto_is_the_model_where_it_was_seen_to_win() -> None:
    assert isinstance(build_sampler("auto", SPACE, GOALS, (), seed=0), ModelSampler)
    conditional = SearchSpace(SPACE.domains, {"b": Condition.parse("a >= 2")})
    assert not isinstance(build_sampler("auto", conditional, GOALS, (), seed=0), ModelSampler)
    with pytest.raises(UsageError, match="auto takes no options"):
        build_sampler("auto", SPACE, GOALS, (), seed=0, options={"seed": 1})


@pytest.mark.parametrize("seed", range(3))
def test_a_network_larger_than_all_of_the_front_is_tried(seed: int) -> None:
    """The front of the first trials has small networks alone; larger ones have smaller losses."""
    space = SearchSpace({"width": Int(1, 200), "dropout": Choice((0.0, 0.3, 0.6), ordered=True)})

    def loss(params: Params) -> float:
        return 10.0 / float(params["width"]) + 10.0 * float(params["dropout"])

    def size(params: Params) -> Mapping[str, float]:
        return {"size": float(params["width"])}

    sampler = ModelSampler(space, GOALS, seed=seed, known=size)
    for number in range(FIRST):
        # The small ones without dropout, the large ones with it.
        dropout, width = (0.0, number + 1) if number < 5 else (0.6, 20 * number)
        params: Params = {"width": width, "dropout": dropout}
        values = {"loss": loss(params), **size(params)}
        sampler.observe(Trial("s", number, params, 0, TrialState.COMPLETE, values=values))
    widths = []
    for number in range(FIRST, FIRST + 12):
        suggestion = sampler.suggest()
        assert suggestion is not None
        values = {"loss": loss(suggestion.params), **size(suggestion.params)}
        trial = Trial("s", number, suggestion.params, 0, TrialState.COMPLETE, values=values)
        sampler.observe(trial)
        widths.append(suggestion.params["width"])
    assert max(widths) > 20


def test_the_corner_goes_where_an_objective_may_improve_and_no_further() -> None:
    front, corner, usable = np.array([[0.0, 1.0], [1.0, 0.0]]), np.full(2, 1.2), np.ones(2)
    means, certain = np.array([[-0.5, 4.0], [0.5, 9.0]]), np.zeros((2, 2))
    moved = behind_extensions(corner, front, means, certain, usable)
    assert moved.tolist() == pytest.approx([1.2, 4.2])
    # Nothing is gained where it cannot be used.
    assert behind_extensions(corner, front, means, certain, np.zeros(2)).tolist() == [1.2, 1.2]


@pytest.mark.parametrize("seed", range(2))
def test_a_sampler_rebuilt_after_the_front_has_moved_proposes_the_same(seed: int) -> None:
    sampler, trials = ModelSampler(SPACE, GOALS, seed=seed), list[Trial]()
    for number in range(28):
        suggestion = sampler.suggest()
        assert suggestion is not None
        if number in (14, 21, 26):
            rebuilt = ModelSampler(SPACE, GOALS, seed=seed)
            for trial in trials:
                rebuilt.observe(trial)
            again = rebuilt.suggest()
            assert again is not None
            assert again.params == suggestion.params
            found = rebuilt._model._found
            for key in found:
                of_old = sampler._model._found[key].log_weights
                assert found[key].log_weights.tolist() == of_old.tolist()
        params, values = suggestion.params, measured(suggestion.params)
        trials.append(Trial("s", number, params, 0, TrialState.COMPLETE, values=values))
        sampler.observe(trials[-1])


def test_where_time_is_limited_what_gains_as_much_in_less_time_is_preferred() -> None:
    """Batches change nothing but the time: with a limit on it nearly all proposals are fast."""
    space = SearchSpace({"a": Int(0, 40), "batch": Choice((8, 64), ordered=True)})

    def fast(per_second: bool) -> int:
        sampler = ModelSampler(space, GOALS, seed=0, per_second=per_second)
        count = 0
        for number in range(FIRST + 15):
            suggestion = sampler.suggest()
            assert suggestion is not None
            params = suggestion.params
            a, is_fast = float(params["a"]), params["batch"] == 64
            took = {"train_s": 10.0 if is_fast else 500.0, "eval_s": 1.0}
            values = {"loss": (40 - a) ** 2, "size": a, **took}
            sampler.observe(Trial("s", number, params, 0, TrialState.COMPLETE, values=values))
            count += is_fast and number >= FIRST
        return count

    assert fast(per_second=True) >= 13 > fast(per_second=False)


def test_what_was_not_timed_is_compared_by_the_trial() -> None:
    sampler = ModelSampler(SPACE, GOALS, seed=1, per_second=True)
    plain = ModelSampler(SPACE, GOALS, seed=1)
    assert searched(sampler, FIRST + 3) == searched(plain, FIRST + 3)
