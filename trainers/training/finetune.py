"""Fine-tune one network: seeded, resumable at every epoch, an epoch at a time."""

import itertools
import json
import math
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.determinism import derive_seed
from trainers.errors import DivergedError
from trainers.files.checkpoints import (
    CheckpointError,
    copy_into,
    fit,
    load_checkpoint,
    save_checkpoint,
)
from trainers.networks.backbone_table import WEIGHT_WORDS
from trainers.networks.backbones import Backbone, build_backbone
from trainers.networks.narrowing import layer_sizes
from trainers.networks.network import Network, assemble_network
from trainers.pruning.channels import remove_channels
from trainers.pruning.masks import Masks
from trainers.quantization.qat import QuantizedTraining
from trainers.stages.cache import StageCache
from trainers.stages.keys import frozen_pruning
from trainers.stages.trial_stages import TrialStages
from trainers.stages.weights import weights_digest
from trainers.training.examples import FEATURE_BYTES, Examples, batch_sizes, pixels
from trainers.training.loop import Recipe, correct_fraction, cosine_learning_rates, train_epoch
from trainers.training.optimizers import SGD, AdamW, Group, Optimizer

_EVALUATION_BATCH = 256
# Prefix of the names of an optimizer's tensors in a checkpoint.
_OPTIMIZER = "optimizer."


@dataclass(frozen=True, slots=True)
class EpochReport:
    """Measurements of one epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        train_loss: Mean over the training images.
        float_accuracy: Validation accuracy of the network before quantization; with
            quantization-aware training, of the network as it will be packed.
        seconds: Wall-clock time of the epoch.
    """

    epoch: int
    train_loss: float
    float_accuracy: float
    seconds: float


class FineTuning:
    """The fine-tuning of one network.

    With a frozen backbone (``tune: head``) its features are computed once, and only the head is
    trained on them. Every epoch draws its order and its dropout from the seed and its own
    number, so that a training resumed at an epoch's end equals an uninterrupted one.

    With ``qat`` the whole network is quantized from the start, frozen parts included: a head is
    trained on the features of the quantized convolutions.

    Args:
        config: Configuration of the trial.
        data: Training and validation images.
        device: Device to compute on.
        like: A training on the same images with the same frozen backbone and features
            (equal `frozen_key`); they are shared, not recomputed.
        cache: Cache of the features and trainings of other trials. A finished training found
            there is used at once; its epochs count as taking no time.

    Attributes:
        config: As given.
        backbone: The convolutional part of the network.
        network: The network that is trained.
        optimizer: Over its trainable parameters.
        train: Training examples: features, if they are kept, or pixels.
        val: As `train`, for validation.
        on_features: Whether the head is trained on features that are kept.
        reports: Report of each finished epoch; part of a checkpoint.
        masks: Which weights are pruned; part of a checkpoint.
        milestones: Additional values measured at milestones, by epoch; part of a checkpoint.
        stages: Cached stages of this trial; None without a cache.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: ImageData,
        *,
        device: torch.device,
        like: "FineTuning | None" = None,
        cache: StageCache | None = None,
    ) -> None:
        self.config = config
        self.reports: list[EpochReport] = []
        self.milestones: dict[int, dict[str, float]] = {}
        self._device = device
        self._data = data
        seed = derive_seed(config.seed, "weights")
        self.backbone: Backbone = (
            build_backbone(
                config.backbone, config.weights, seed=seed, image_size=config.image_size
            )
            if like is None
            else like.backbone
        )
        self.network: Network = assemble_network(
            self.backbone,
            config.head_widths(len(data.classes)),
            len(data.classes),
            dropout=config.dropout,
            seed=seed,
        ).to(device)
        # Computed before quantization-aware training rounds the frozen weights.
        self._weights = self._weights_of_a_file()
        self.stages = None if cache is None else self._stages_in(cache)
        if config.pruning.removes_channels:
            self._narrow(like)
        weights = self.network.set_trainable(config.tune)
        # Pruned before they are rounded: a frozen weight is rounded once.
        self.masks = Masks(self.network, config.pruning, seed=config.seed)
        self._quantized = QuantizedTraining(self.network, config.quantization, config.qat)
        self.optimizer = _optimizer(config, weights, self._quantized.parameters)
        self._parameters = [*weights, *self._quantized.parameters]
        self._model: nn.Module = self.network
        self.on_features = False
        self.train = pixels(*data.subset("train"), device)
        self.val = pixels(*data.subset("val"), device)
        if self.stages is not None:
            self._take_up(self.stages)
        if like is not None and like.on_features:
            self._train_on(like.train, like.val)
            if self.stages is not None and not self.finished:
                # The training that shares them has put them into the cache.
                self.stages.taken += 1
        elif config.tune == "head" and not self.finished:
            self._train_on_features()

    def _narrow(self, like: "FineTuning | None") -> None:
        """Remove channels of the backbone, unless `like`, which shares it, has done so."""
        if like is None:
            before = layer_sizes(self.network.features)
            wanted = self.network.spec.input
            shape = (1, wanted.channels, wanted.height, wanted.width)
            sample = torch.zeros(shape, device=self._device)
            share = self.config.pruning.sparsity
            remove_channels(self.network, sample, share=share, fixed=self.network.head)
            after = layer_sizes(self.network.features)
            narrowed = tuple((n, sizes) for n, sizes in after.items() if sizes != before[n])
        else:
            narrowed = like.network.spec.narrowed
        self.network.spec = replace(self.network.spec, narrowed=narrowed)

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.reports)

    @property
    def seconds(self) -> float:
        """Wall-clock time of the finished epochs."""
        return sum(report.seconds for report in self.reports)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.config.epochs

    @property
    def cached_stages(self) -> int:
        """The number of stages that came from the cache."""
        return 0 if self.stages is None else self.stages.taken

    def run_epoch(self) -> EpochReport:
        """Train for one epoch and measure it.

        Raises:
            DivergedError: The loss became NaN or infinite.
        """
        began = time.perf_counter()
        number = self.epoch + 1
        order = np.random.default_rng(derive_seed(self.config.seed, "order", number))
        size = self.config.batch_size
        with torch.random.fork_rng(devices=_forked(self._device)):
            torch.manual_seed(derive_seed(self.config.seed, "dropout", number))
            self._model.train()
            batches = self.train.training_batches(size, order.permutation(self.train.count))
            loss = train_epoch(self._model, batches, self._recipe(), epoch=number)
        # No loss follows the last step, so that only the parameters can show a divergence.
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self._parameters):
            raise DivergedError(number, math.nan)
        self._model.eval()
        # Weights that do not change are rounded once, not for every batch.
        with parametrize.cached():
            accuracy = correct_fraction(self._model, self.val.batches(_EVALUATION_BATCH))
        self.reports.append(EpochReport(number, loss, accuracy, time.perf_counter() - began))
        return self.reports[-1]

    def finish(self) -> dict[str, Tensor]:
        """End the training: restore `network` to the float32 form that its spec describes.

        Returns:
            Steps for `write_artifact`, by tensor name; empty without ``qat``. The network written
            with them gives, bit for bit, the same outputs as in the last epoch.
        """
        return self._quantized.remove()

    def keep(self) -> bool:
        """Store the finished training for other trials; return whether the cache now has it."""
        if self.stages is None or self.stages.has_training:
            return self.stages is not None
        facts = {"reports": [asdict(report) for report in self.reports]}
        return self.stages.keep_training(self._changing(), facts)

    def save(self, path: Path) -> None:
        """Write a checkpoint from which `load` resumes after the last finished epoch."""
        tensors = self._changing()
        tensors |= {f"{_OPTIMIZER}{n}": tensor for n, tensor in self.optimizer.tensors().items()}
        facts = {
            "reports": [asdict(report) for report in self.reports],
            "milestones": [[epoch, values] for epoch, values in self.milestones.items()],
            **self._identity(),
        }
        save_checkpoint(path, tensors, facts)

    def load(self, path: Path) -> None:
        """Resume from a checkpoint.

        Raises:
            FileNotFoundError: There is none.
            CheckpointError: It is damaged, or of a trial with another config or other images.
        """
        tensors, facts = load_checkpoint(path)
        targets = self._changing()
        own = [name for name in tensors if name.startswith(_OPTIMIZER)]
        state = {name.removeprefix(_OPTIMIZER): tensors.pop(name) for name in own}
        if not self._is_ours(facts) or not fit(tensors, targets) or not self.optimizer.load(state):
            raise CheckpointError(
                f"The checkpoint {path} belongs to a trial with another config or other images."
            )
        copy_into(tensors, targets)
        self.masks.apply()
        self.reports = [EpochReport(**report) for report in facts["reports"]]
        self.milestones = dict(facts["milestones"])

    def _stages_in(self, cache: StageCache) -> TrialStages:
        return TrialStages(
            cache,
            self.config,
            self.network.spec,
            weights=weights_digest(self.config, self.network.features),
            data=self._data.content(),
            device=self._device,
        )

    def _take_up(self, stages: TrialStages) -> None:
        """Take over a finished training if the cache has an equal one."""
        found = stages.training()
        if found is None:
            return
        tensors, facts = found
        copy_into(tensors, self._changing())
        self.masks.apply()
        self.reports = [EpochReport(**{**report, "seconds": 0.0}) for report in facts["reports"]]

    def _weights_of_a_file(self) -> str:
        """Return a digest of weights read from a file; for others, the word that names them."""
        if self.config.weights in WEIGHT_WORDS:
            return self.config.weights
        return f"sha256 {weights_digest(self.config, self.network.features)}"

    def _identity(self) -> dict[str, str]:
        """Return the facts that a checkpoint must share with this training to be resumed."""
        config = {**self.config.as_mapping(), "weights": self._weights}
        identity = {"config": json.dumps(config, sort_keys=True), "data": self._data.content()}
        if batch_sizes(self.train.count, self.config.batch_size)[-1] > self.config.batch_size:
            # Earlier versions took a step with the last image alone.
            identity["last_image"] = "goes with the batch before"
        return identity

    def _is_ours(self, facts: Mapping[str, Any]) -> bool:
        identity = self._identity()
        if all(facts.get(key) == value for key, value in identity.items()):
            return True
        # Earlier versions wrote the path of the weights and the name of the images.
        config = json.dumps(self.config.as_mapping(), sort_keys=True)
        identity |= {"config": config, "data": self._data.fingerprint()}
        return all(facts.get(key) == value for key, value in identity.items())

    def _changing(self) -> dict[str, Tensor]:
        """Return the tensors that training changes, by name."""
        network = self.network
        # Norm layers of a tuned block change their running statistics too.
        tensors = {f"buffer.{name}": buffer for name, buffer in network.named_buffers()}
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                tensors[f"parameter.{name}"] = parameter
        return tensors | {f"mask.{name}": kept for name, kept in self.masks.kept.items()}

    def _recipe(self) -> Recipe:
        a_epoch = len(batch_sizes(self.train.count, self.config.batch_size))
        rates = cosine_learning_rates(
            self.config.learning_rate,
            steps_per_epoch=a_epoch,
            epochs=self.config.epochs,
            from_epoch=self.epoch,
        )
        taken = itertools.count(self.epoch * a_epoch + 1)

        def prune() -> None:
            self.masks.after_step(next(taken) / (a_epoch * self.config.epochs))

        autocast = _autocast(self._device)
        return Recipe(self.optimizer, rates, self.config.label_smoothing, autocast, prune)

    def _train_on_features(self) -> None:
        n_features = self.network.spec.n_features
        if 4 * n_features * (self.train.count + self.val.count) > FEATURE_BYTES:
            return
        counts = {"train": self.train.count, "val": self.val.count}
        if self.stages is None:
            made = {subset: self._features(subset, slice(None)) for subset in counts}
        else:
            made = self.stages.features(self._features, counts)
        self._train_on(self.train.replaced(made["train"]), self.val.replaced(made["val"]))

    def _features(self, subset: str, images: slice) -> Tensor:
        """Compute the features of images with the frozen backbone."""
        examples = self.train if subset == "train" else self.val
        return examples.mapped(self.network.feature_vectors, _EVALUATION_BATCH, images)

    def _train_on(self, train: Examples, val: Examples) -> None:
        """Train the head alone from now on, on these examples of its inputs."""
        self.train, self.val = train, val
        self._model = self.network.head
        self.on_features = True


def frozen_key(config: TrialConfig) -> Hashable | None:
    """Return a key of the features of a frozen backbone; None if they cannot be shared.

    They change if more than the head is trained. With quantization-aware training they are those
    of the quantized convolutions, which no other training has.
    """
    if config.tune != "head" or config.qat != "none":
        return None
    pruning = frozen_pruning(config)
    seed = config.seed if config.weights == "scratch" else None
    return (config.backbone, config.weights, config.image_size, seed, tuple(pruning.items()))


def _optimizer(
    config: TrialConfig, weights: list[nn.Parameter], spreads: list[nn.Parameter]
) -> Optimizer:
    groups = [Group(weights, config.weight_decay)]
    if spreads:
        # Weight decay would shrink a step until it clips the weights it has to cover. The learning
        # rate is that of the weights (Esser et al. 2020, section 2.2).
        groups.append(Group(spreads, 0.0))
    return SGD(groups) if config.optimizer == "sgd" else AdamW(groups)


def _autocast(device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    # bfloat16 needs no loss scaling; GPUs without it train in float32.
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return partial(torch.autocast, "cuda", dtype=torch.bfloat16)
    return nullcontext


def _forked(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
