"""Measurements of a network at a milestone, during its training.

They are cheap proxies of the values of a finished trial, to compare trials at the same epoch:
measured with the weights as they would be packed now, on few images, the same ones in every trial.
Their names begin with `milestone_`, so that they are never mixed with the final values.
"""

import copy
import logging

import torch
from torch import nn

from trainers.data import ImageData
from trainers.data.splits import stratified_choice
from trainers.determinism import derive_seed
from trainers.errors import TrainerError
from trainers.evaluators.accuracy import compute_logits, logits_of
from trainers.evaluators.class_metrics import class_metrics
from trainers.evaluators.config import AT_MILESTONE, AttackConfig
from trainers.evaluators.corruptions import corruption_accuracy
from trainers.evaluators.robustness import relative_perturbation, robust_accuracy
from trainers.methods.reparametrizing import contract, is_reparametrized
from trainers.quantization.plan import planned_weights, quantize_network
from trainers.quantization.quantized import dequantize
from trainers.training.finetune import FineTuning

logger = logging.getLogger(__name__)

_IMAGES = 512
_ATTACKED = 100
# Fewer than for other attacks: a step of DeepFool takes some ten gradients, and an image is
# corrupted in 45 ways.
_FLEEING = 20


def milestone_values(training: FineTuning, data: ImageData) -> dict[str, float]:
    """Measure a training after an epoch, without any effect on it.

    Args:
        training: The training. Its weights are quantized on a copy, by the quantization of its
            config; with quantization-aware training they are seen as they will be packed anyway.
        data: Data set; the validation images are used.

    Returns:
        ``milestone_accuracy``, and likewise the values of `class_metrics`, on at most 512 images;
        and for every attack of the config, by its name, the accuracy under FGSM with the same norm
        and epsilon on at most 100 images: an upper bound, since FGSM is the weakest attack.
        DeepFool and corruptions, which have no epsilon, are run themselves on at most 20 images.
        A network with NaN
        logits has accuracy 0 and is not attacked.
    """
    images, labels = data.subset("val")
    chosen = stratified_choice(labels, _IMAGES, derive_seed(0, "milestone"))
    network, device = _as_packed(training), training.val.device
    try:
        if _features_are_as_packed(training):
            batches = (batch for batch, _ in training.val.batches(_IMAGES, chosen))
            logits = logits_of(network.get_submodule("head"), batches, device)
        else:
            logits = compute_logits(network, images[chosen], device=device)
    except TrainerError as error:
        logger.info("A milestone's accuracy is 0: %s", error)
        return {f"{AT_MILESTONE}accuracy": 0.0}
    found = {
        "accuracy": float((logits.argmax(1) == labels[chosen]).mean()),
        **class_metrics(logits, labels[chosen]),
    }
    values = {f"{AT_MILESTONE}{name}": value for name, value in found.items()}
    for name, attack in training.config.attacks.items():
        try:
            values[AT_MILESTONE + name] = _under_attack(network, data, name, attack, device)
        except TrainerError as error:
            logger.info("%s is not known at a milestone: %s", name, error)
    return values


def _as_packed(training: FineTuning) -> nn.Module:
    """Return the network with the weights that its file would hold."""
    config, network = training.config, training.network
    if is_reparametrized(network):
        network = copy.deepcopy(network)
        contract(network)
    if config.qat != "none" or not planned_weights(network, config.quantization):
        return network
    packed = copy.deepcopy(network).to("cpu")
    with torch.no_grad():
        for name, weight in quantize_network(packed, config.quantization).items():
            packed.get_parameter(name).copy_(dequantize(weight))
    return packed


def _features_are_as_packed(training: FineTuning) -> bool:
    """Return whether the stored features equal those of the packed network."""
    config = training.config
    planned = planned_weights(training.network, config.quantization)
    changed = config.qat == "none" and any(name.startswith("features.") for name in planned)
    return training.on_features and not changed


def _under_attack(
    network: nn.Module, data: ImageData, name: str, attack: AttackConfig, device: torch.device
) -> float:
    images, labels = data.subset("val")
    if attack.attack == "deepfool":
        samples = min(attack.samples, _FLEEING)
        return relative_perturbation(network, images, labels, samples=samples, device=device)
    seed = derive_seed(0, "milestone", name)
    if attack.attack == "corruptions":
        samples = min(attack.samples, _FLEEING)
        return corruption_accuracy(
            network, images, labels, samples=samples, seed=seed, device=device
        )
    samples = min(attack.samples, _ATTACKED)
    cheap = AttackConfig("fgsm", attack.epsilon, attack.norm, samples=samples)
    found = robust_accuracy(network, images, labels, cheap, seed=seed, device=device)
    return found.robust_accuracy
