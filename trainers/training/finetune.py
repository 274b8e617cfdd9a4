"""Fine-tune one network: seeded, resumable at every epoch, an epoch at a time."""

import math
import time
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path

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
from trainers.methods.reparametrizing import contract
from trainers.networks.backbones import Backbone
from trainers.networks.network import Network, assemble_network
from trainers.networks.reuse import frozen_modules
from trainers.pruning.before_training import prune_before_training, sample_gradients
from trainers.pruning.masks import Masks
from trainers.quantization.qat import QuantizedTraining
from trainers.stages.cache import StageCache
from trainers.stages.trial_stages import TrialStages
from trainers.stages.weights import weights_digest
from trainers.training.beginnings import backbone_of, keeps_features, narrow, reparametrized, share
from trainers.training.class_weights import class_weights
from trainers.training.devices import autocast, compiled, forked
from trainers.training.epochs import EpochBatches
from trainers.training.examples import FEATURE_BYTES, Examples, batch_sizes, pixels
from trainers.training.frozen_features import FrozenFeatures
from trainers.training.identity import TrainingIdentity
from trainers.training.kept_weights import KeptWeights, is_out_of_patience
from trainers.training.loop import Recipe, correct_fraction, train_epoch
from trainers.training.parameter_groups import build_optimizer
from trainers.training.prefetching import prefetched
from trainers.training.schedules import learning_rates
from trainers.training.step_loss import StepLoss, Teach

_EVALUATION_BATCH = 256
# Before a training, weights are judged by the gradient on so many images.
_PRUNING_IMAGES = 512
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

    With augmentation the features of several views of each image are kept, and an epoch trains on
    one view. With MixUp or CutMix features are computed in every epoch.

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
        teach: As `StepLoss` takes it; for distillation alone.

    Attributes:
        config: As given.
        backbone: The convolutional part of the network.
        network: The network that is trained.
        optimizer: Over its trainable parameters.
        train: Training examples: features, if they are kept, or pixels.
        further_views: Features of the augmented views that are kept beside those in `train`.
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
        teach: Teach | None = None,
    ) -> None:
        self.config = config
        self.reports: list[EpochReport] = []
        self.milestones: dict[int, dict[str, float]] = {}
        self._device = device
        self._data = data
        self.backbone: Backbone = backbone_of(config) if like is None else like.backbone
        self.network: Network = assemble_network(
            self.backbone,
            config.head_widths(len(data.classes)),
            len(data.classes),
            dropout=config.dropout,
            seed=derive_seed(config.seed, "weights"),
        ).to(device)
        if config.methods.share_kernels:
            share(self.network)
        # Computed before quantization-aware training rounds the frozen weights.
        self._identity = TrainingIdentity(config, data, self.network.features)
        self.stages = None if cache is None else self._stages_in(cache)
        self._narrow(like)
        weights = self._set_trainable()
        self._step_loss = StepLoss(self.network, config, teach)
        # Pruned before they are rounded: a frozen weight is rounded once.
        self.masks = Masks(self.network, config.pruning, seed=config.seed)
        self._quantized = QuantizedTraining(self.network, config.quantization, config.qat)
        learned = [*self._quantized.parameters, *self._step_loss.parameters]
        self.optimizer = build_optimizer(config, self.network, weights, learned)
        self._parameters = [*weights, *learned]
        self._model: nn.Module = self.network
        self.on_features = False
        self.train = pixels(*data.subset("train"), device)
        self.val = pixels(*data.subset("val"), device)
        self.further_views: tuple[Examples, ...] = ()
        self._batches = EpochBatches(config, data)
        if self.stages is not None:
            self._take_up(self.stages)
        self._kept = KeptWeights(self._changing(), config.recipe)
        if keeps_features(config):
            self._keep_features(like)

    def _narrow(self, like: "FineTuning | None") -> None:
        """Remove channels of the backbone, unless `like`, which shares it, has done so."""
        if not self.config.pruning.removes_channels:
            return
        if like is None:
            narrowed = narrow(self.network, self.config, self._device)
        else:
            narrowed = like.network.spec.narrowed
        self.network.spec = replace(self.network.spec, narrowed=narrowed)

    def _set_trainable(self) -> list[nn.Parameter]:
        """Freeze what the config does not train, and return what it does."""
        added = reparametrized(self.network, self.config)
        frozen = frozen_modules(self.network.features, self.config.reuse)
        weights = self.network.set_trainable(self.config.tune, frozen=frozen)
        for adapter in added:
            adapter.requires_grad_()
        return [*weights, *added]

    def _keep_features(self, like: "FineTuning | None") -> None:
        """Train the head on features that are computed once, here or by another training."""
        if like is not None and like.on_features:
            self._train_on((like.train, *like.further_views), like.val)
            if self.stages is not None and not self.finished:
                # The training that shares them has put them into the cache.
                self.stages.taken += 1
        elif not self.finished:
            self._train_on_features()

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
        """Whether all epochs are done, or none was better for as long as patience lasts."""
        out = is_out_of_patience(self._accuracies, self.config.recipe.patience)
        return out or self.epoch >= self.config.epochs

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
        with torch.random.fork_rng(devices=forked(self._device)):
            torch.manual_seed(derive_seed(self.config.seed, "dropout", number))
            self._kept.begin_epoch()
            self._step_loss.progress = self.epoch / self.config.epochs
            self._begin_training()
            if self.epoch == 0 and self.masks.is_chosen_before:
                self._prune_before_training()
            views = (self.train, *self.further_views)
            batches = self._batches.of(number, views[(number - 1) % len(views)])
            if self._device.type != "cpu":
                batches = prefetched(batches)
            loss = train_epoch(self._model, batches, self._recipe(), epoch=number)
        # No loss follows the last step, so that only the parameters can show a divergence.
        finite = [torch.isfinite(parameter).all() for parameter in self._parameters]
        if not bool(torch.stack(finite).all()):
            raise DivergedError(number, math.nan)
        self._kept.end_epoch()
        # An average over steps has parts of weights that were pruned meanwhile.
        self.masks.apply()
        self._model.eval()
        # Weights that do not change are rounded once, not for every batch.
        with parametrize.cached():
            accuracy = correct_fraction(self._model, self.val.batches(_EVALUATION_BATCH))
        self.reports.append(EpochReport(number, loss, accuracy, time.perf_counter() - began))
        self._kept.judge(self._accuracies, is_over=self.finished)
        return self.reports[-1]

    def finish(self) -> dict[str, Tensor]:
        """End the training: restore `network` to the float32 form that its spec describes.

        Returns:
            Steps for `write_artifact`, by tensor name; empty without ``qat``. The network written
            with them gives, bit for bit, the same outputs as in the last epoch.
        """
        compiled(self._model, wanted=False)
        contract(self.network)
        self.network.lay_out()
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
        tensors |= self._kept.tensors()
        facts = {
            "reports": [asdict(report) for report in self.reports],
            "milestones": [[epoch, values] for epoch, values in self.milestones.items()],
            **self._identity.facts(),
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
        own = {name: tensors.pop(name) for name in targets if name in tensors}
        of_optimizer = [name for name in tensors if name.startswith(_OPTIMIZER)]
        state = {name.removeprefix(_OPTIMIZER): tensors.pop(name) for name in of_optimizer}
        if not (
            self._identity.is_of(facts)
            and fit(own, targets)
            and self.optimizer.load(state)
            and self._kept.load(tensors, len(facts["reports"]))
        ):
            raise CheckpointError(
                f"The checkpoint {path} belongs to a trial with another config or other images."
            )
        copy_into(own, targets)
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

    def _changing(self) -> dict[str, Tensor]:
        """Return the tensors that training changes, by name."""
        network = self.network
        # Norm layers of a tuned block change their running statistics too.
        tensors = {f"buffer.{name}": buffer for name, buffer in network.named_buffers()}
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                tensors[f"parameter.{name}"] = parameter
        tensors |= self._step_loss.tensors()
        tensors |= {f"score.{name}": each for name, each in self.masks.accumulated.items()}
        return tensors | {f"mask.{name}": kept for name, kept in self.masks.kept.items()}

    @property
    def _accuracies(self) -> list[float]:
        return [report.float_accuracy for report in self.reports]

    def _begin_training(self) -> None:
        """Put what is trained into training mode."""
        self._model.train()
        compiled(self._model, wanted=self.config.recipe.compile)
        if self.config.recipe.freeze_batch_norm:
            for part in self._model.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - their base
                    part.eval()

    def _prune_before_training(self) -> None:
        config, batches = self.config.pruning, self._batches.of(1, self.train)
        loss = nn.functional.cross_entropy
        gradients = sample_gradients(self._model, batches, loss, _PRUNING_IMAGES)
        prune_before_training(self.masks, config.criterion, config.sparsity, gradients)

    def _recipe(self) -> Recipe:
        config = self.config
        steps = len(batch_sizes(self.train.count, config.batch_size))
        rates = learning_rates(
            config.recipe,
            config.learning_rate,
            steps_per_epoch=steps,
            epochs=config.epochs,
            from_epoch=self.epoch,
        )
        taken = count(1 + steps * self.epoch)

        def after_step() -> None:
            step = next(taken)
            self.masks.after_step(step / (steps * config.epochs))
            self._kept.after_step(step)

        return Recipe(
            self.optimizer,
            rates,
            config.label_smoothing,
            autocast(self._device, config.recipe.precision),
            class_weights(config.recipe.class_weights, self.train.labels, len(self._data.classes)),
            config.recipe.clip,
            after_step,
            self._step_loss,
            config.recipe.parts,
        )

    def _train_on_features(self) -> None:
        config = self.config
        views = max(1, config.recipe.kept_views(config.tune, config.epochs))
        features = FrozenFeatures(self.network, self._batches, views, self.train, self.val)
        if features.n_bytes > FEATURE_BYTES:
            return
        if self.stages is None:
            made = {name: features.of(name, slice(None)) for name in features.counts}
        else:
            made = self.stages.features(features.of, features.counts)
        self._train_on(*features.examples(made))

    def _train_on(self, views: tuple[Examples, ...], val: Examples) -> None:
        """Train the head alone from now on, on these examples of its inputs."""
        (self.train, *further), self.val = views, val
        self.further_views = tuple(further)
        self._model = self.network.head
        self.on_features = True
