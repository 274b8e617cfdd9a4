import pytest

from orchestrator.errors import UnknownNameError, UsageError
from orchestrator.sampling import build_sampler
from orchestrator.sampling.grid_sampler import GridSampler
from orchestrator.testing.sampler_contract import FINITE, SMALL, Loop, SamplerContract
from search_spaces import Float, Int, SearchSpace


class TestGrid(SamplerContract):
    learns = False

    def build(self, space, objectives, constraints, seed) -> GridSampler:
        return GridSampler(space, seed=seed)


def test_a_conditional_grid_is_run_through_once() -> None:
    params = Loop(GridSampler(FINITE, seed=0)).run(1_000).params
    assert len(params) == FINITE.size
    assert all(point in params for point in FINITE.grid())


def test_the_order_is_shuffled() -> None:
    params = Loop(GridSampler(SMALL, seed=0)).run(80).params
    assert params != list(SMALL.grid())
    assert len({point["width"] for point in params[:10]}) > 4


def test_a_grid_of_a_continuous_space_is_refused_with_the_names_and_a_way_out() -> None:
    space = SearchSpace({"bits": Int(2, 8), "lr": Float(1e-4, 1e-1, log=True)})
    with pytest.raises(UsageError, match=r"but lr can be any number .* give a step"):
        build_sampler("grid", space, (), (), 0)


def test_a_grid_that_no_sweep_could_finish_is_refused() -> None:
    space = SearchSpace({"a": Int(1, 1_000), "b": Int(1, 1_000)})
    with pytest.raises(UsageError, match="1,000,000 configurations"):
        build_sampler("grid", space, (), (), 0)


def test_an_unknown_sampler_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="auto, gp, grid, model, nsga2, random, tpe"):
        build_sampler("tpa", SMALL, (), (), 0)
