import statistics
from collections.abc import Sequence
from dataclasses import replace

import optuna
import pytest

from orchestrator.constraints import Constraint
from orchestrator.contracts import Sampler
from orchestrator.objectives import Direction, Objective
from orchestrator.sampling import build_sampler
from orchestrator.sampling.optuna_sampler import NSGA2_POPULATION, OptunaSampler
from orchestrator.testing.sampler_contract import (
    CONSTRAINTS,
    OBJECTIVES,
    SMALL,
    Loop,
    SamplerContract,
    resumed,
)
from orchestrator.trials import TrialState
from search_spaces import Choice, Condition, Float, Int, SearchSpace


class OptunaContract(SamplerContract):
    kind = ""

    def build(self, space, objectives, constraints, seed) -> Sampler:
        return build_sampler(self.kind, space, objectives, constraints, seed)


class TestTpe(OptunaContract):
    kind = "tpe"


class TestNsga2(OptunaContract):
    kind = "nsga2"
    resumes_exactly = False


class TestRandom(OptunaContract):
    kind = "random"
    learns = False
