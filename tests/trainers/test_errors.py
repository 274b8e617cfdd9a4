import copy
import math
import pickle

from trainers.errors import DataError, DivergedError, TrainerError, WeightsError


def test_all_errors_can_be_caught_as_one() -> None:
    for kind in (DataError, WeightsError, DivergedError):
        assert issubclass(kind, TrainerError)


def test_a_divergence_says_when_and_what_and_what_to_do() -> None:
    error = DivergedError(3, math.inf)
    assert (error.epoch, error.loss) == (3, math.inf)
    assert "epoch 3" in str(error)
    assert "learning rate" in str(error)


def test_a_divergence_survives_the_way_between_processes() -> None:
    error = DivergedError(7, math.inf)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert (other.epoch, other.loss, str(other)) == (7, math.inf, str(error))
