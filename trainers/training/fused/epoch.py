"""One epoch of many heads together, with the same result for each as if trained alone.

A head has its own widths, learning rate, weight decay, label smoothing, dropout, and number of
epochs. Heads with the same batches (same seed, batch size and epoch) are computed together, others
one after the other. Each epoch updates the head of each `FineTuning` and the state of its
optimizer: they are then what `FineTuning.run_epoch` leaves, up to rounding, so that a training may
continue alone or with others. A `TrialRun` also trains a single head with this module, because it
is faster than autograd and gives the same result.

On a GPU the matrix products are in float32, those of `FineTuning` in bfloat16.
"""

import math
import time
from collections.abc import Hashable, Iterator, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor, _log_softmax_backward_data

from trainers.config import TrialConfig
from trainers.determinism import derive_seed
from trainers.errors import DivergedError
from trainers.training.beginnings import frozen_key
from trainers.training.examples import batch_sizes
from trainers.training.finetune import EpochReport, FineTuning
from trainers.training.fused.wide import WideHeads
from trainers.training.optimizers import Update, joined
from trainers.training.schedules import learning_rates

_EVALUATION_BATCH = 256
_MOST_WEIGHTS = 1_000_000


def fusable(config: TrialConfig, *, device: torch.device) -> bool:
    """Return whether a training can be computed together with others.

    It can if only the head is trained, without quantization, by a recipe that is no more than a
    schedule, and its dropout can be drawn as in a training alone: on a GPU torch draws dropout in
    a kernel of its own, from another sequence. A head that is pruned itself is trained alone, and
    so is one whose loss or weights are those of a method of `trainers.methods`.
    """
    if config.methods.active:
        return False
    prunes_head = config.pruning.active and config.pruning.layers == "all"
    draws_alike = not config.dropout or device.type == "cpu"
    if prunes_head or not draws_alike:
        return False
    return frozen_key(config) is not None and config.recipe.is_fusable


def fuse_key(training: FineTuning) -> Hashable | None:
    """Return an equal key for trainings that `run_epoch` accepts together; None if not accepted.

    Heads of more than a million weights are not accepted: each fills a core on its own.
    """
    weights = sum(parameter.numel() for parameter in training.network.head.parameters())
    suits = fusable(training.config, device=training.train.device)
    if not (suits and training.on_features and not training.finished and weights <= _MOST_WEIGHTS):
        return None
    return frozen_key(training.config)


def run_epoch(trainings: Sequence[FineTuning]) -> list[EpochReport | DivergedError]:
    """Train each for one epoch and measure it.

    The report of each is added to its `reports`. Its `seconds` are a share of the time taken by
    all trainings computed together, in proportion to the weights of their heads.

    Args:
        trainings: Trainings with the same `fuse_key`, on the same images.

    Returns:
        For each training, the report of its epoch, or the error because of which it must stop; a
        failure of one does not affect the others.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, training in enumerate(trainings):
        groups.setdefault(_together(training), []).append(index)
    results: dict[int, EpochReport | DivergedError] = {}
    for indices in groups.values():
        epoch = _Epoch([trainings[index] for index in indices])
        results.update(zip(indices, epoch.run(), strict=True))
    return [results[index] for index in range(len(trainings))]


def _together(training: FineTuning) -> Hashable:
    """Return an equal key for trainings that are computed together."""
    return (training.config.seed, training.epoch, training.config.batch_size)


class _Epoch:
    def __init__(self, trainings: Sequence[FineTuning]) -> None:
        self._began = time.perf_counter()
        self._trainings = trainings
        first = trainings[0]
        self._config, self._number = first.config, first.epoch + 1
        self._train, self._val = first.train, first.val
        self._device = self._train.device
        self._heads = WideHeads([training.network.head for training in trainings])
        self._joined_updates = self._by_rule()

    def run(self) -> list[EpochReport | DivergedError]:
        mean_losses, latest = self._trained()
        self._heads.write_back()
        finite = torch.stack(
            [
                torch.stack([torch.isfinite(each).all() for each in parameters]).all()
                for parameters in self._heads.parameters
            ]
        ).tolist()
        accuracies = self._correct_fractions()
        seconds = time.perf_counter() - self._began
        results: list[EpochReport | DivergedError] = []
        for index, training in enumerate(self._trainings):
            if not math.isfinite(latest[index]):
                results.append(DivergedError(self._number, latest[index]))
            elif not finite[index]:
                results.append(DivergedError(self._number, math.nan))
            else:
                own = seconds * self._shares[index]
                report = EpochReport(self._number, mean_losses[index], accuracies[index], own)
                training.reports.append(report)
                results.append(report)
        return results

    def _trained(self) -> tuple[list[float], list[float]]:
        """Train; return each head's mean loss, and its latest loss or first non-finite one."""
        count, size = self._train.count, self._config.batch_size
        order = np.random.default_rng(derive_seed(self._config.seed, "order", self._number))
        permuted = torch.from_numpy(order.permutation(count)).to(self._device)
        batches = torch.split(permuted, batch_sizes(count, size))
        features = torch.as_tensor(self._train.inputs)
        classes = self._trainings[0].network.spec.classes
        targets = _Targets([each.config for each in self._trainings], classes, features)
        generators = [self._generator(training.config) for training in self._trainings]
        totals = torch.zeros(len(self._trainings), dtype=torch.float64, device=self._device)
        latest = features.new_zeros(len(self._trainings))
        steps = [
            (members, update, self._learning_rates(members[0], len(batches)))
            for members, update in self._joined_updates
        ]
        for chosen in batches:
            logits = self._heads.logits(features.index_select(0, chosen), generators)
            losses, gradient = targets.losses(logits, self._train.labels.index_select(0, chosen))
            self._heads.backward(gradient)
            for members, update, rates in steps:
                own = (self._heads.gradients[member] for member in members)
                update.step(list(chain.from_iterable(own)), next(rates))
            totals.add_(losses, alpha=len(chosen))
            latest = torch.where(torch.isfinite(latest), losses, latest)
        return (totals / count).tolist(), latest.tolist()

    def _by_rule(self) -> list[tuple[list[int], Update]]:
        """Group the heads with equal optimizer settings, each group with its joined update."""
        rules: dict[Hashable, list[int]] = {}
        for index, training in enumerate(self._trainings):
            config = training.config
            rule = (
                *(config.optimizer, config.learning_rate, config.weight_decay, config.epochs),
                *(config.recipe.schedule, config.recipe.warmup, config.recipe.momentum),
            )
            rules.setdefault(rule, []).append(index)
        return [
            (members, joined([self._update(member) for member in members]))
            for members in rules.values()
        ]

    def _update(self, head: int) -> Update:
        return self._trainings[head].optimizer.update(0, self._heads.parameters[head])

    def _learning_rates(self, head: int, steps: int) -> Iterator[float]:
        """Yield the learning rate of a head for each step of this epoch."""
        config = self._trainings[head].config
        return learning_rates(
            config.recipe,
            config.learning_rate,
            steps_per_epoch=steps,
            epochs=config.epochs,
            from_epoch=self._number - 1,
        )

    def _generator(self, config: TrialConfig) -> torch.Generator | None:
        if not config.dropout:
            return None
        seed = derive_seed(config.seed, "dropout", self._number)
        return torch.Generator(self._device).manual_seed(seed)

    def _correct_fractions(self) -> list[float]:
        """Compute the validation accuracy of each head."""
        examples = (torch.as_tensor(self._val.inputs), self._val.labels)
        batches = (torch.split(each, _EVALUATION_BATCH) for each in examples)
        correct = torch.zeros(len(self._trainings), dtype=torch.int64, device=self._device)
        for inputs, labels in zip(*batches, strict=True):
            correct += (self._heads.logits(inputs).argmax(1) == labels).sum(1)
        return [count / self._val.count for count in correct.tolist()]

    @property
    def _shares(self) -> list[float]:
        sizes = [sum(each.numel() for each in own) for own in self._heads.parameters]
        return [size / sum(sizes) for size in sizes]


class _Targets:
    """Target distributions of the cross-entropy, for each head.

    With label smoothing `s` and `C` classes the targets are `1 - s + s / C` at the label and
    `s / C` elsewhere: C. Szegedy et al. Rethinking the Inception architecture for computer vision.
    2016, section 7. https://arxiv.org/abs/1512.00567
    """

    def __init__(self, configs: Sequence[TrialConfig], classes: int, like: Tensor) -> None:
        smoothing = [config.label_smoothing for config in configs]
        given = torch.tensor(smoothing, dtype=torch.float64, device=like.device)
        given = given[:, None, None]
        self._elsewhere = (given / classes).to(like)
        self._more_at_label = (1 - given).to(like)

    def losses(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute mean losses (G,) of logits (G, classes, N), and the gradient of their sum."""
        _, classes, count = logits.shape
        one_hot = logits.new_zeros((classes, count))
        one_hot.scatter_(0, labels[None], 1)
        # In the order of operations of `cross_entropy`, so that the gradients round alike.
        shares = one_hot * (self._more_at_label / count) + self._elsewhere / count
        logs = torch.log_softmax(logits, 1)
        losses = -(shares * logs).sum((1, 2))
        return losses, _log_softmax_backward_data(-shares, logs, 1, logs.dtype)
