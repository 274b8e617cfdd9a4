import copy
import errno
import math
import os
import pickle

import pytest
import torch
from safetensors import SafetensorError

from trainers.errors import (
    ArtifactError,
    DataError,
    DivergedError,
    TrainerError,
    WeightsError,
    is_storage_full,
)
from trainers.trial.failures import failure_kind


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


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_recognised_in_every_error_that_tells_of_it(code: int) -> None:
    plain = OSError(code, os.strerror(code))
    text = f"Error while serializing: I/O error: {os.strerror(code)} (os error {code})"
    wrapped = caused(ArtifactError("cannot be written"), SafetensorError(text))
    for error in (plain, SafetensorError(text), caused(RuntimeError("no"), plain), wrapped):
        assert is_storage_full(error)
        assert failure_kind(error) == "storage_full"


@pytest.mark.parametrize("cause", [MemoryError(), torch.OutOfMemoryError("no memory")])
def test_code_of_others_that_runs_out_of_memory_is_told_apart(cause: Exception) -> None:
    assert failure_kind(caused(TrainerError("my:size was called"), cause)) == "out_of_memory"


def test_other_errors_of_files_are_no_full_disk() -> None:
    for error in (OSError(errno.EACCES, "no"), FileNotFoundError("gone"), SafetensorError("bad")):
        assert not is_storage_full(error)
        assert failure_kind(error) == "error"
    assert not is_storage_full(None)
