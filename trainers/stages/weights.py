"""Digests of the weights of a backbone."""

import hashlib
from pathlib import Path

from torch import nn

from trainers.config import TrialConfig
from trainers.networks.reuse_config import NONE

# A worker loads the same weights for each of its trials, and a digest takes as long as loading.
_digests: dict[tuple[str, str, str, tuple[int, ...]], str] = {}


def weights_digest(config: TrialConfig, features: nn.Module) -> str:
    """Return a digest of the weights of a backbone, as loaded and not yet changed.

    Random weights follow from the seed, and are named by it.

    Args:
        config: Config of the trial.
        features: The backbone that was built for it.

    >>> weights_digest(TrialConfig(backbone="digitnet", weights="scratch", seed=7), nn.Identity())
    'scratch 7'
    """
    if config.start_weights == "scratch" or config.reuse.policy == NONE:
        return f"scratch {config.seed}"
    version = _version(Path(config.weights).expanduser())
    if config.reuse.drawn_anew:
        # Random in part, by the seed.
        return content_digest(features)
    source = (config.architecture, config.weights, config.depth_start, version)
    if source not in _digests:
        _digests[source] = content_digest(features)
    return _digests[source]


def _version(path: Path) -> tuple[int, ...]:
    """Return facts that change when a file is rewritten; empty if it is not a file."""
    if not path.is_file():
        return ()
    facts = path.stat()
    return (facts.st_size, facts.st_mtime_ns)


def content_digest(module: nn.Module) -> str:
    """Compute a digest of the names, types, shapes and values of a module's tensors.

    >>> layer = nn.Linear(1, 1)
    >>> before = content_digest(layer)
    >>> _ = nn.init.zeros_(layer.weight)
    >>> content_digest(layer) == before
    False
    """
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
