"""Trainings that are run to their end, and compared."""

import torch
from torch import Tensor

from trainers.training.finetune import FineTuning


def finished(training: FineTuning) -> FineTuning:
    while not training.finished:
        training.run_epoch()
    return training


def state(training: FineTuning) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in training.network.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first | second)
