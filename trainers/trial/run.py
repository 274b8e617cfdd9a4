"""One trial from its config to its measured values, a few epochs at a time."""

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from trainers.artifact import ArtifactInfo, compress_artifact, load_artifact, write_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.data.mapped import as_array
from trainers.determinism import derive_seed, seed_everything, set_threads
from trainers.doors import call_measure
from trainers.errors import DivergedError
from trainers.evaluators.accuracy import (
    Logits,
    check_labelled,
    compute_logits,
    feature_vectors,
    logits_from,
)
from trainers.evaluators.class_metrics import class_metrics
from trainers.evaluators.config import AttackConfig
from trainers.evaluators.corruptions import corruption_accuracy
from trainers.evaluators.counts import count_macs, count_parameters
from trainers.evaluators.inference_memory import peak_activation_bytes
from trainers.evaluators.robustness import relative_perturbation, robust_accuracy
from trainers.files.checkpoints import CheckpointError
from trainers.files.predictions import Attacked, Predictions, write_predictions
from trainers.files.trial_folder import (
    ARTIFACT_NAME,
    CHECKPOINT_NAME,
    PREDICTIONS_NAME,
    STORAGE_NAME,
)
from trainers.networks.network import Network
from trainers.networks.spec import NetworkSpec
from trainers.pruning.masks import zero_share
from trainers.quantization.config import FLOAT_BITS
from trainers.quantization.plan import planned_weights, quantize_network
from trainers.quantization.quantized import QuantizedWeight
from trainers.stages.cache import StageCache
from trainers.training.devices import chosen_device
from trainers.training.examples import FEATURE_BYTES
from trainers.training.finetune import EpochReport, FineTuning
from trainers.training.fused import fuse_key, run_epoch
from trainers.trial.allocated import allocated
from trainers.trial.calibrated import calibrated, with_activations
from trainers.trial.latency import measure_latency
from trainers.trial.milestones import milestone_values
from trainers.trial.teaching import taught

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Measurement:
    """Measurements of a finished trial.

    Attributes:
        values: By name; docs/glossary.md has their units. Accuracies are those of the packed
            network, read back from its file.
        artifact: The packed network.
    """

    values: Mapping[str, float]
    artifact: ArtifactInfo


class TrialRun:
    """Runs one trial in a folder, and resumes from a checkpoint that is there.

    Args:
        config: Config of the trial.
        data: Data set, read-only.
        folder: Folder of the checkpoint and the packed network; created if missing.
        cache: Cache of stages that trials share.
        milestones: Epochs after which the network is measured as it would be packed then.
        like: As `FineTuning` takes it.

    Attributes:
        training: The training that `advance` advances.
        checkpoint_every_s: Seconds of training between checkpoints.
        keeps_milestones: Whether to write a checkpoint after each milestone.
        damaged: Why an existing checkpoint could not be used; empty if there was no error.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: ImageData,
        folder: Path,
        *,
        cache: StageCache | None = None,
        milestones: Collection[int] = (),
        like: FineTuning | None = None,
    ) -> None:
        set_threads(config.threads)
        seed_everything(config.seed)
        folder.mkdir(parents=True, exist_ok=True)
        self._config = config
        self._data = data
        self._folder = folder
        self.checkpoint_every_s = 5.0
        self.keeps_milestones = False
        self._milestones = frozenset(milestones)
        self._since_checkpoint = 0.0
        self._device = chosen_device()
        self.damaged = ""
        began = time.perf_counter()
        teach = partial(taught, config, data, device=self._device, cache=cache)
        self.training = FineTuning(
            config, data, device=self._device, like=like, cache=cache, teach=teach
        )
        try:
            if not self.training.finished:
                self.training.load(self._checkpoint)
        except FileNotFoundError:
            pass
        except CheckpointError as error:
            self._checkpoint.unlink()
            self.damaged = f"{error} It was removed; training began again with the first epoch."
            logger.warning("%s", self.damaged)
        self._untold = list(self.training.reports)
        self._setup_s = time.perf_counter() - began

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return self.training.epoch

    @property
    def finished(self) -> bool:
        """Whether only `measure` is left to do."""
        return self.training.finished

    @property
    def waits(self) -> bool:
        """Whether the trial must be reported before it may be trained further."""
        return self.finished or self.epoch in self._milestones

    def advance(self, *, to_epoch: int, seconds: float) -> list[EpochReport]:
        """Train until `to_epoch` is finished or `seconds` have passed, for at least one epoch.

        Returns:
            Reports of the epochs. Those of an earlier attempt come first: a checkpoint may be
            ahead of what was reported to the driver.

        Raises:
            DivergedError: The loss became NaN or infinite.
        """
        reports = self.untold()
        last = min(to_epoch, self._config.epochs)
        began = time.perf_counter()
        while not self.finished and self.epoch < last:
            if reports and time.perf_counter() - began >= seconds:
                break
            reports.append(self._trained())
            self.after_epoch(reports[-1])
        return reports

    def _trained(self) -> EpochReport:
        if fuse_key(self.training) is None:
            return self.training.run_epoch()
        # So that a head is trained to the same last bit, alone or together with others.
        (result,) = run_epoch([self.training])
        if isinstance(result, DivergedError):
            raise result
        return result

    def untold(self) -> list[EpochReport]:
        """Return the reports of an earlier attempt's epochs; empty after the first call."""
        reports, self._untold = self._untold, []
        return reports

    def after_epoch(self, report: EpochReport) -> None:
        """Measure a milestone and write a checkpoint, if due after an epoch of `training`."""
        at_milestone = self.epoch in self._milestones
        if at_milestone:
            self.training.milestones[self.epoch] = self._at_milestone()
        self._since_checkpoint += report.seconds
        is_due = self._since_checkpoint >= self.checkpoint_every_s
        if is_due or (at_milestone and self.keeps_milestones):
            self.checkpoint()

    def at_milestone(self, epoch: int) -> Mapping[str, float]:
        """Return the values measured at a milestone; empty if the epoch is not one."""
        return self.training.milestones.get(epoch, {})

    def _at_milestone(self) -> dict[str, float]:
        began = time.perf_counter()
        found = milestone_values(self.training, self._data)
        return {**found, "milestone_s": time.perf_counter() - began}

    def checkpoint(self) -> None:
        """Write a checkpoint, so that the finished epochs survive this process."""
        self.training.save(self._checkpoint)
        self._since_checkpoint = 0.0

    def measure(self) -> Measurement:
        """Quantize and pack the network, read it back, and measure the network that was read.

        Its predictions for the validation images are written beside the artifact. The checkpoint
        stays: the caller removes it once the values are stored.

        Raises:
            OSError: The artifact or the predictions could not be written.
        """
        # An interruption from here on must not cost the training.
        if not self.training.keep() and self._since_checkpoint:
            self.checkpoint()
        began = time.perf_counter()
        config = self._config
        artifact, divergences = self._packed()
        storage = compress_artifact(artifact.path, self._folder / STORAGE_NAME)
        packed = load_artifact(artifact.path)
        measured, answers = _evaluated(
            packed,
            self._data,
            "val",
            config.attacks,
            logits=self._logits(packed),
            device=self._device,
        )
        write_predictions(self._folder / PREDICTIONS_NAME, answers)
        values = {
            **measured,
            **divergences,
            "memory_bytes": float(artifact.bytes),
            "head_bytes": float(artifact.head_bytes),
            "backbone_bytes": float(artifact.backbone_bytes),
            "storage_bytes": float(storage.bytes),
            "sparsity": zero_share(packed),
            "params": float(count_parameters(packed)),
            "head_params": float(count_parameters(packed.head)),
            **_head_sizes(packed.spec),
            "trainable_params": float(_trainable(self.training.network)),
            "macs": float(count_macs(packed, self._data.train_images.shape[1:])),
            "train_s": self._setup_s + self.training.seconds,
            "cached_stages": float(self.training.cached_stages),
        }
        values["peak_inference_bytes"] = float(
            artifact.bytes + peak_activation_bytes(packed, self._data.train_images.shape[1:])
        )
        images, labels = self._data.subset("val")
        for name, reference in config.functions.items():
            # Afterwards the mode is what it was, whatever the function sets.
            with torch.enable_grad():
                values[name] = call_measure(reference, packed.eval(), as_array(images), labels)
        if config.latency:
            values |= measure_latency(artifact.path, threads=config.threads)
        values["eval_s"] = time.perf_counter() - began
        return Measurement(values, artifact)

    def _packed(self) -> tuple[ArtifactInfo, Mapping[str, float]]:
        """Quantize the trained network and pack it; return what the calibration measured too."""
        steps = self.training.finish()
        config, network = self._config, self.training.network.to("cpu")
        rounded: Mapping[str, QuantizedWeight] | None = None
        divergences: Mapping[str, float] = {}
        of_bits: Mapping[str, float] = {}
        if config.allocation.active:
            config, of_bits = allocated(
                network, config, self._data, device=self._device, stages=self.training.stages
            )
        if config.is_calibrated and planned_weights(network, config.quantization):
            found = calibrated(
                network, config, self._data, device=self._device, stages=self.training.stages
            )
            network, rounded, divergences = found.network, found.weights, found.values
        if config.activation_bits != FLOAT_BITS:
            weights = quantize_network(network, config.quantization, steps=steps)
            network = with_activations(
                network, rounded or weights, config, self._data, self._device
            )
        artifact = write_artifact(
            network,
            self._folder / ARTIFACT_NAME,
            quantization=config.quantization,
            classes=self._data.classes,
            steps=steps,
            kept=self.training.masks.kept,
            rounded=rounded,
        )
        return artifact, {**of_bits, **divergences}

    def _logits(self, packed: Network) -> Logits:
        """Compute the packed network's logits; heads on the same backbone share the features."""
        images, _ = self._data.subset("val")
        stages, n_bytes = self.training.stages, 4 * packed.spec.n_features * len(images)
        if stages is None or self._config.tune != "head" or n_bytes > FEATURE_BYTES:
            return compute_logits(packed, images, device=self._device)

        def make(_: str, which: slice) -> Tensor:
            return feature_vectors(packed, images[which], device=self._device)

        vectors = stages.packed_features(packed, make, len(images))
        return logits_from(packed.head, vectors, device=self._device)

    @property
    def _checkpoint(self) -> Path:
        return self._folder / CHECKPOINT_NAME


def evaluate_artifact(
    path: Path, data: ImageData, attacks: Mapping[str, AttackConfig], *, subset: str, threads: int
) -> dict[str, float]:
    """Measure a packed network on one subset: its answers, plain and under attacks.

    Args:
        path: The artifact.
        data: Images.
        attacks: Attacks by the name of the measured value.
        subset: ``val`` or ``test``.
        threads: Threads for torch.

    Raises:
        ArtifactError: The file is damaged or not an artifact.
    """
    set_threads(threads)
    device = chosen_device()
    network = load_artifact(path)
    logits = compute_logits(network, data.subset(subset)[0], device=device)
    return _evaluated(network, data, subset, attacks, logits=logits, device=device)[0]


def attack_seed(name: str) -> int:
    """Return the seed of the random starts of an attack, by the name of the measured value.

    It is the same in every trial, as are the attacked images, so that only the networks differ.

    >>> attack_seed("robust_accuracy") == attack_seed("robust_accuracy_eps2")
    False
    """
    return derive_seed(0, "attack", name)


def _trainable(network: Network) -> int:
    return sum(each.numel() for each in network.parameters() if each.requires_grad)


def _head_sizes(spec: NetworkSpec) -> dict[str, float]:
    """Return the inputs of a sizing rule and the widths it gave."""
    sizes = {"head_inputs": spec.n_features, "head_outputs": spec.classes}
    sizes |= {f"head_width_{number}": width for number, width in enumerate(spec.widths, start=1)}
    return {name: float(size) for name, size in sizes.items()}


def _evaluated(
    network: Network,
    data: ImageData,
    subset: str,
    attacks: Mapping[str, AttackConfig],
    *,
    logits: Logits,
    device: torch.device,
) -> tuple[dict[str, float], Predictions]:
    images, labels = data.subset(subset)
    check_labelled(images, labels)
    attacked: dict[str, Attacked] = {}
    predicted = logits.argmax(1)
    values = {"accuracy": float((predicted == labels).mean()), **class_metrics(logits, labels)}
    for name, attack in attacks.items():
        if attack.attack == "deepfool":
            values[name] = relative_perturbation(
                network, images, labels, samples=attack.samples, device=device
            )
            continue
        seed = attack_seed(name)
        if attack.attack == "corruptions":
            values[name] = corruption_accuracy(
                network, images, labels, samples=attack.samples, seed=seed, device=device
            )
            continue
        result = robust_accuracy(network, images, labels, attack, seed=seed, device=device)
        values[name] = result.robust_accuracy
        attacked[name] = Attacked(result.chosen, result.robust)
    return values, Predictions(labels, predicted, attacked)
