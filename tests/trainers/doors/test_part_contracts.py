"""Parts of ours keep the promises that a user's own are tested for."""

import pytest

from trainers.pruning.config import BEFORE_TRAINING_CRITERIA, CHANNEL_CRITERION, CRITERIA
from trainers.quantization.config import QUANTIZERS
from trainers.testing.attack_contract import AttackContract
from trainers.testing.criterion_contract import CriterionContract
from trainers.testing.objective_contract import ObjectiveContract
from trainers.testing.quantizer_contract import PrunableContract, QuantizerContract


class TestEntropy(QuantizerContract):
    @pytest.fixture
    def name(self) -> str:
        return "entropy"


class TestQuantizers(PrunableContract):
    @pytest.fixture(params=[name for name in QUANTIZERS if name != "entropy"])
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


class TestCriteria(CriterionContract):
    """But for those that are judged before the training, or judge channels."""

    @pytest.fixture(
        params=[
            name for name in CRITERIA if name not in (*BEFORE_TRAINING_CRITERIA, CHANNEL_CRITERION)
        ]
    )
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


@pytest.mark.slow
class TestAttacks(AttackContract):
    @pytest.fixture(params=["fgsm", "bim", "pgd"])
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


@pytest.mark.slow
class TestSquare(AttackContract):
    norms = ("linf",)

    @pytest.fixture
    def name(self) -> str:
        return "square"


class TestAccuracy(ObjectiveContract):
    """Measured by us as a function of a user's own would."""

    @pytest.fixture
    def name(self) -> str:
        return "trainers.evaluators.accuracy:accuracy"
