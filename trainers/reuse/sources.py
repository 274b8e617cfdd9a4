"""The two networks that are compared: read, and laid beside each other tensor by tensor."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainers.determinism import derive_seed
from trainers.errors import ArtifactError, WeightsError
from trainers.networks.backbone_table import WEIGHT_WORDS
from trainers.networks.backbones import build_backbone
from trainers.networks.backbones.weight_files import read_state
from trainers.networks.backbones.weight_sources import find_weights
from trainers.networks.network import Network
from trainers.networks.reuse import check_layers
from trainers.networks.reuse_config import ReuseConfig

_CLASSIFIERS = ("classifier.", "fc.", "linear.", "head.")
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, slots=True)
class TensorMatch:
    """One tensor of two networks.

    Attributes:
        name: Its name in the backbone.
        source: Its shape in the source; None where it is absent.
        target: Its shape in the target.
        backbone: Its shape in the backbone that was named.
    """

    name: str
    source: tuple[int, ...] | None
    target: tuple[int, ...] | None
    backbone: tuple[int, ...] | None

    @property
    def fits(self) -> bool:
        """Whether all three have it in the same shape."""
        return self.source == self.target == self.backbone


class OtherArchitectureError(WeightsError):
    """Source, target and backbone are not of one architecture.

    Attributes:
        matches: Every tensor that one of them has.
    """

    def __init__(self, text: str, matches: tuple[TensorMatch, ...] = ()) -> None:
        super().__init__(text)
        self.matches = matches


def read_backbone(backbone: str, weights: str, *, role: str) -> dict[str, Tensor]:
    """Read the tensors of a backbone, whether or not they fit it.

    Args:
        backbone: Name of the backbone, for words.
        weights: A word of `WEIGHT_WORDS`, a file of weights, or a packed network or its folder.
        role: ``source`` or ``target``; random weights of the two differ.

    Raises:
        WeightsError: They are absent or broken.

    >>> roles = ("source", "target")
    >>> source, target = (read_backbone("digitnet", "scratch", role=role) for role in roles)
    >>> source.keys() == target.keys(), state_digest(source) == state_digest(target)
    (True, False)
    """
    if weights in WEIGHT_WORDS:
        seed = derive_seed(0, "reuse", role)
        return dict(build_backbone(backbone, weights, seed=seed).features.state_dict())
    path = Path(weights).expanduser()
    packed = _packed(path)
    if packed is not None:
        return dict(packed.features.state_dict())
    state = read_state(path)
    return {name: t for name, t in state.items() if not name.startswith(_CLASSIFIERS)}


def _packed(path: Path) -> Network | None:
    """Load a packed network; None if it is a plain file of weights."""
    from trainers.artifact import load_artifact
    from trainers.files.trial_folder import ARTIFACT_NAME

    if path.is_dir():
        return load_artifact(path / ARTIFACT_NAME)
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        return load_artifact(path)
    except ArtifactError:
        return None


def matched(
    backbone: str, source: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors of source and target in float32, if both fit the backbone.

    Raises:
        OtherArchitectureError: They do not; its `matches` say where.

    >>> state = read_backbone("digitnet", "bundled", role="source")
    >>> source, target = matched("digitnet", state, {n: t.half() for n, t in state.items()})
    >>> {tensor.dtype for tensor in target.values() if tensor.is_floating_point()}
    {torch.float32}
    """
    wanted = build_backbone(backbone, "scratch").features.state_dict()
    names = dict.fromkeys((*wanted, *source, *target))
    matches = tuple(
        TensorMatch(name, _shape(source, name), _shape(target, name), _shape(wanted, name))
        for name in names
        if not name.endswith(_COUNTER)
    )
    wrong = [each for each in matches if not each.fits]
    if wrong:
        raise OtherArchitectureError(
            f"source and target are not both of the architecture {backbone}: {len(wrong)} of "
            f"{len(matches)} tensors do not match, the first is {wrong[0].name} "
            f"(source {wrong[0].source or 'absent'}, target {wrong[0].target or 'absent'}, "
            f"{backbone} {wrong[0].backbone or 'absent'}). Give two networks of one architecture, "
            f"and its name as --backbone.",
            matches,
        )
    states = []
    for state in (source, target):
        full = {name: state.get(name, tensor) for name, tensor in wanted.items()}
        states.append({name: t.to(wanted[name].dtype) for name, t in full.items()})
    return states[0], states[1]


def check_judged(backbone: str, weights: str, reuse: ReuseConfig, digest: str) -> str:
    """Say why a verdict cannot be applied to weights; empty if it can, or they are not here.

    Args:
        backbone: Name of the backbone.
        weights: As a sweep file gives them.
        reuse: The verdict.
        digest: Digest of the source that was judged.
    """
    with torch.device("meta"):
        features = build_backbone(backbone, "scratch").features
    try:
        check_layers(reuse, features, backbone)
        if find_weights(backbone, weights).url:
            return ""
        state = build_backbone(backbone, weights).features.state_dict()
    except WeightsError as error:
        return str(error)
    if state_digest(state) != digest:
        return (
            f"the verdict is of other weights than {weights}: judge these as SOURCE with "
            f"'paretune analyze reuse', or name the weights that were judged."
        )
    return ""


def state_digest(state: Mapping[str, Tensor]) -> str:
    """Compute a digest of the tensors of a state dict that decide what it computes.

    >>> state_digest({"a": torch.zeros(2)}) == state_digest({"a": torch.zeros(2, 1)})
    False
    """
    digest = hashlib.sha256()
    for name in sorted(name for name in state if not name.endswith(_COUNTER)):
        digest.update(json.dumps([name, list(state[name].shape)]).encode())
        digest.update(state[name].detach().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(state[name].shape) if name in state else None
