"""What a backbone's weights are, as a digest of their content."""

import hashlib
from pathlib import Path

from torch import nn

from trainers.config import TrialConfig

# A worker loads the same weights for each of its trials, and a digest takes as long as loading.
_digests: dict[tuple[str, str, tuple[int, ...]], str] = {}


def weights_digest(config: TrialConfig, features: nn.Module) -> str:
    """Name the weights that a backbone was loaded with, before anything changed them.

    Random weights follow from the seed, and are named by it.

    Args:
        config: Of the trial.
        features: The backbone that was built for it.
    """
    if config.weights == "scratch":
        return f"scratch {config.seed}"
    version = _version(Path(config.weights).expanduser())
    source = (config.backbone, config.weights, version)
    if source not in _digests:
        _digests[source] = content_digest(features)
    return _digests[source]


def _version(path: Path) -> tuple[int, ...]:
    """What changes when a file is written again; empty if it is no file."""
    if not path.is_file():
        return ()
    facts = path.stat()
    return (facts.st_size, facts.st_mtime_ns)


def content_digest(module: nn.Module) -> str:
    """Equal for modules whose tensors have the same names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
