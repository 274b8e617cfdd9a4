"""Fine-tune one network: seeded, resumable at every epoch, an epoch at a time."""

import json
import math
import time
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

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
from trainers.networks.backbones import Backbone, build_backbone
from trainers.networks.network import Network, assemble_network
from trainers.quantization.qat import QuantizedTraining
from trainers.stages.cache import StageCache
from trainers.stages.trial_stages import TrialStages
from trainers.stages.weights import weights_digest
from trainers.training.examples import FEATURE_BYTES, Examples, batch_sizes, pixels
from trainers.training.loop import Recipe, correct_fraction, cosine_learning_rates, train_epoch
from trainers.training.optimizers import SGD, AdamW, Group, Optimizer

_EVALUATION_BATCH = 256
# What the names of an optimizer's tensors begin with in a checkpoint.
_OPTIMIZER = "optimizer."


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What one epoch measured.

    Attributes:
        epoch: From 1.
        train_loss: Mean over the training images.
        float_accuracy: On validation, of the network before quantization; with
            quantization-aware training, as it will be packed.
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

    With ``qat`` all of the network is quantized from the start, also what is frozen: a head is
    trained on the features of the quantized convolutions.

    Args:
        config: What to do.
        data: Training and validation images.
        device: Where to compute.
        like: A training on the same images whose frozen backbone and features are this one's
            too (`frozen_key`); they are shared, not made again.
        cache: Where features and trainings of other trials lie. One that is there already is
            taken up at once, finished, with epochs that took no time.

    Attributes:
        config: As given.
        backbone: The convolutional part of the network.
        network: What is trained.
        optimizer: Over its trainable parameters.
        train: Training examples: features, if they are kept, or pixels.
        val: As `train`, for validation.
        on_features: Whether the head is trained on features that are kept.
        reports: What each epoch that is done measured; a checkpoint keeps them too.
        milestones: What was measured at milestones besides, by epoch; a checkpoint keeps it.
        stages: What the cache has of this trial; None without one.
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
        # Before quantization-aware training rounds what is frozen.
        self.stages = None if cache is None else self._stages_in(cache)
        weights = self.network.set_trainable(config.tune)
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
                # The cache would have had them.
                self.stages.taken += 1
        elif config.tune == "head" and not self.finished:
            self._train_on_features()

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return len(self.reports)

    @property
    def seconds(self) -> float:
        """Time that they took."""
        return sum(report.seconds for report in self.reports)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.config.epochs

    @property
    def cached_stages(self) -> int:
        """How many stages came from the cache."""
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
        # The last step of all is followed by no loss that would show it.
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self._parameters):
            raise DivergedError(number, math.nan)
        self._model.eval()
        # Weights that do not change are rounded once, not for every batch.
        with parametrize.cached():
            accuracy = correct_fraction(self._model, self.val.batches(_EVALUATION_BATCH))
        self.reports.append(EpochReport(number, loss, accuracy, time.perf_counter() - began))
        return self.reports[-1]

    def finish(self) -> dict[str, Tensor]:
        """Give `network` back as its spec describes it, in float32; the training is over.

        Returns:
            Steps for `write_artifact`, by tensor name; empty without ``qat``. The network that it
            writes with them answers, bit for bit, as it did in the last epoch.
        """
        return self._quantized.remove()

    def keep(self) -> bool:
        """Keep the finished training for other trials; whether it lies in the cache now."""
        if self.stages is None or self.stages.has_training:
            return self.stages is not None
        facts = {"reports": [asdict(report) for report in self.reports]}
        return self.stages.keep_training(self._changing(), facts)

    def save(self, path: Path) -> None:
        """Write what `load` needs to go on after the last finished epoch."""
        tensors = self._changing()
        tensors |= {f"{_OPTIMIZER}{n}": tensor for n, tensor in self.optimizer.tensors().items()}
        facts = {
            "reports": [asdict(report) for report in self.reports],
            "milestones": [[epoch, values] for epoch, values in self.milestones.items()],
            **self._identity(),
        }
        save_checkpoint(path, tensors, facts)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            FileNotFoundError: There is none.
            CheckpointError: It is damaged, or of a trial with another config or other images.
        """
        tensors, facts = load_checkpoint(path)
        targets = self._changing()
        own = [name for name in tensors if name.startswith(_OPTIMIZER)]
        state = {name.removeprefix(_OPTIMIZER): tensors.pop(name) for name in own}
        is_ours = all(facts.get(key) == value for key, value in self._identity().items())
        if not is_ours or not fit(tensors, targets) or not self.optimizer.load(state):
            raise CheckpointError(
                f"The checkpoint {path} belongs to a trial with another config or other images."
            )
        copy_into(tensors, targets)
        self.reports = [EpochReport(**report) for report in facts["reports"]]
        self.milestones = dict(facts["milestones"])

    def _stages_in(self, cache: StageCache) -> TrialStages:
        return TrialStages(
            cache,
            self.config,
            self.network.spec,
            weights=weights_digest(self.config, self.network.features),
            data=self._data.fingerprint(),
            device=self._device,
        )

    def _take_up(self, stages: TrialStages) -> None:
        """Take over a finished training, if an equal one lies in the cache."""
        found = stages.training()
        if found is None:
            return
        tensors, facts = found
        copy_into(tensors, self._changing())
        self.reports = [EpochReport(**{**report, "seconds": 0.0}) for report in facts["reports"]]

    def _identity(self) -> dict[str, str]:
        """What must be the same for a checkpoint to be taken up."""
        config = json.dumps(self.config.as_mapping(), sort_keys=True)
        identity = {"config": config, "data": self._data.fingerprint()}
        if batch_sizes(self.train.count, self.config.batch_size)[-1] > self.config.batch_size:
            # Earlier versions took a step with the last image alone.
            identity["last_image"] = "goes with the batch before"
        return identity

    def _changing(self) -> dict[str, Tensor]:
        """The tensors that training changes, by name."""
        network = self.network
        # Norm layers of a tuned block change their running statistics too.
        tensors = {f"buffer.{name}": buffer for name, buffer in network.named_buffers()}
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                tensors[f"parameter.{name}"] = parameter
        return tensors

    def _recipe(self) -> Recipe:
        rates = cosine_learning_rates(
            self.config.learning_rate,
            steps_per_epoch=len(batch_sizes(self.train.count, self.config.batch_size)),
            epochs=self.config.epochs,
            from_epoch=self.epoch,
        )
        autocast = _autocast(self._device)
        return Recipe(self.optimizer, rates, self.config.label_smoothing, autocast)

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
        """What the frozen backbone makes of images."""
        examples = self.train if subset == "train" else self.val
        return examples.mapped(self.network.feature_vectors, _EVALUATION_BATCH, images)

    def _train_on(self, train: Examples, val: Examples) -> None:
        """Take these for the images from now on: the head's inputs."""
        self.train, self.val = train, val
        self._model = self.network.head
        self.on_features = True


def frozen_key(config: TrialConfig) -> Hashable | None:
    """What decides the features of a frozen backbone; None where they change.

    They change where more than the head is trained. With quantization-aware training they are
    those of the quantized convolutions, which are no other network's.
    """
    if config.tune != "head" or config.qat != "none":
        return None
    seed = config.seed if config.weights == "scratch" else None
    return (config.backbone, config.weights, config.image_size, seed)


def _optimizer(
    config: TrialConfig, weights: list[nn.Parameter], spreads: list[nn.Parameter]
) -> Optimizer:
    groups = [Group(weights, config.weight_decay)]
    if spreads:
        # A step that shrinks by itself would clip the weights it has to cover. The learning rate
        # is that of the weights (Esser et al. 2020, section 2.2).
        groups.append(Group(spreads, 0.0))
    return SGD(groups) if config.optimizer == "sgd" else AdamW(groups)


def _autocast(device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    # bfloat16 needs no loss scaling; GPUs without it train in float32.
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return partial(torch.autocast, "cuda", dtype=torch.bfloat16)
    return nullcontext


def _forked(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
