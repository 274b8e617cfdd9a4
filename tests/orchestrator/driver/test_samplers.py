"""The sampler of a run, by what its sweep says."""

import pytest

from orchestrator.contracts import nothing_known
from orchestrator.driver.samplers import sampler_of
from orchestrator.sampling.model_sampler import ModelSampler
from orchestrator.spec.files import load_sweep


@pytest.mark.parametrize(
    ("budget", "per_second"),
    [("trials: 9", False), ("seconds: 60", True), ("cpu_hours: 1", True)],
)
def test_a_limit_of_time_has_the_model_count_gains_by_the_second(
    budget: str, per_second: bool
) -> None:
    settings = ["sampler=model", f"budget={{{budget}}}", "execution.reproducible=false"]
    sampler = sampler_of(
        load_sweep("examples/sweeps/digits.yaml", settings=settings), nothing_known
    )
    assert isinstance(sampler, ModelSampler)
    assert sampler._per_second is per_second
