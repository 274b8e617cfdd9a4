"""Attacks too expensive for every trial, run only on the networks on the front of a sweep.

They use the validation images, and their values have names of their own, so that values of
different budgets never share a name. The prefix of a name says what is measured; see
`trainers.evaluators.config`.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import nn

from trainers.artifact import load_artifact
from trainers.data import ImageData
from trainers.determinism import set_threads
from trainers.evaluators.config import (
    CORRUPTED,
    FROM_REFERENCE,
    MASKED,
    OF_REFERENCE,
    PERTURBATION,
    AttackConfig,
)
from trainers.evaluators.corruptions import corruption_accuracy
from trainers.evaluators.masking import masked_gradient_signs
from trainers.evaluators.robustness import Transfer, relative_perturbation, robust_accuracy
from trainers.files.predictions import (
    Attacked,
    PredictionsError,
    read_predictions,
    write_predictions,
)
from trainers.files.trial_folder import PREDICTIONS_NAME
from trainers.training.devices import chosen_device
from trainers.trial.run import attack_seed

logger = logging.getLogger(__name__)


def measure_survivor(
    path: Path,
    data: ImageData,
    measures: Mapping[str, AttackConfig],
    *,
    reference: Path | None,
    threads: int,
) -> dict[str, float]:
    """Measure a packed network on the validation images.

    The outcome of each attack on each image, and the sentences about masked gradients, are added
    to the file of predictions beside the artifact.

    Args:
        path: The artifact.
        data: Images.
        measures: Attacks by the name of the measured value.
        reference: Artifact of the reference network; needed for names that mention it.
        threads: Threads for torch.

    Raises:
        ArtifactError: A file is damaged or not an artifact.
        ValueError: A name needs a reference, and there is none.
        OSError: The predictions cannot be written.
    """
    set_threads(threads)
    device = chosen_device()
    network = load_artifact(path)
    other = None if reference is None else load_artifact(reference)
    images, labels = data.subset("val")
    values: dict[str, float] = {}
    signs: dict[str, tuple[str, ...]] = {}
    attacked: dict[str, Attacked] = {}
    for name, attack in measures.items():
        seed = attack_seed(name)
        if name.startswith(MASKED):
            found = masked_gradient_signs(
                network, images, labels, attack, seed=seed, device=device, reference=other
            )
            values[name], signs[name] = float(len(found)), found
        elif name.startswith(PERTURBATION):
            values[name] = relative_perturbation(
                network, images, labels, samples=attack.samples, device=device
            )
        elif name.startswith(CORRUPTED):
            values[name] = corruption_accuracy(
                network, images, labels, samples=attack.samples, seed=seed, device=device
            )
        else:
            asked = _asked(name, network, other)
            result = robust_accuracy(asked, images, labels, attack, seed=seed, device=device)
            values[name] = result.robust_accuracy
            attacked[name] = Attacked(result.chosen, result.robust)
    _keep(path.with_name(PREDICTIONS_NAME), attacked, signs)
    return values


def _asked(name: str, network: nn.Module, reference: nn.Module | None) -> nn.Module | Transfer:
    """Return the network to attack, or a transfer between it and the reference."""
    if not name.startswith((FROM_REFERENCE, OF_REFERENCE)):
        return network
    if reference is None:
        raise ValueError(f"{name} needs a reference to exchange images with; none was given.")
    if name.startswith(FROM_REFERENCE):
        return Transfer(made_on=reference, tried_on=network)
    return Transfer(made_on=network, tried_on=reference)


def _keep(
    path: Path, attacked: Mapping[str, Attacked], signs: Mapping[str, tuple[str, ...]]
) -> None:
    try:
        before = read_predictions(path)
    except (FileNotFoundError, PredictionsError) as error:
        # The values are valid without it; only paired tests are not possible.
        logger.warning("which images withstood the attacks is not kept: %s", error)
        return
    after = replace(
        before, attacked={**before.attacked, **attacked}, signs={**before.signs, **signs}
    )
    write_predictions(path, after)
