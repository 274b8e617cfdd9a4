"""Atomic checkpoints: tensors in safetensors, the rest as JSON in its header, never a pickle."""

import errno
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from trainers.errors import TrainerError, is_storage_full
from trainers.files.whole_file import replacing

_KEY = "paretune"
_CHECKSUM = "checksum"


class CheckpointError(TrainerError):
    """A checkpoint is damaged or belongs to something else."""


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> int:
    """Write a checkpoint so that it appears whole or not at all; return its size in bytes.

    Args:
        path: The file; its folder is created.
        tensors: Tensors by name; copied to the CPU.
        facts: JSON values.

    Raises:
        OSError: The disk is full or the folder cannot be written; what was there stays.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "checkpoint")
    ...     size = save_checkpoint(file, {"weight": torch.ones(2)}, {"epoch": 3})
    ...     load_checkpoint(file)[1], size == file.stat().st_size
    ({'epoch': 3}, True)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    copies = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with replacing(path) as unfinished:
            save_file(
                copies,
                unfinished,
                {_KEY: json.dumps(facts), _CHECKSUM: str(_checksum(copies, facts))},
            )
            # Later another process may have replaced or removed it.
            return unfinished.stat().st_size
    except SafetensorError as error:
        # safetensors (0.8) reports a full disk as an error of its own class.
        code = errno.ENOSPC if is_storage_full(error) else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint that `save_checkpoint` wrote: tensors and facts.

    Raises:
        FileNotFoundError: There is none.
        CheckpointError: It is damaged, or was not written by `save_checkpoint`.

    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile() as file:
    ...     load_checkpoint(Path(file.name))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.files.checkpoints.CheckpointError: The checkpoint ... ...
    """
    try:
        # Read at once: `safe_open` (safetensors 0.8) opens a file twice for torch, and mixes two
        # files if it is replaced in between.
        content = path.read_bytes()
        tensors = load(content)
        header = _header(content)
        facts = json.loads(header[_KEY])
        if header[_CHECKSUM] != str(_checksum(tensors, facts)):
            raise ValueError("its content does not have the checksum that was written with it")
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"The checkpoint {path} cannot be read ({error}): it is truncated, damaged or of "
            f"another program."
        ) from error
    return tensors, facts


def _header(content: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file that was found to be valid."""
    size = int.from_bytes(content[:8], "little")
    header: dict[str, dict[str, str]] = json.loads(content[8 : 8 + size])
    return header.get("__metadata__", {})


def _checksum(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> int:
    # safetensors detects a truncated file, but not a changed byte in a tensor.
    checksum = zlib.crc32(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        content = tensors[name].reshape(-1).view(torch.uint8).numpy().data
        checksum = zlib.crc32(content, zlib.crc32(name.encode(), checksum))
    return checksum


def fit(tensors: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> bool:
    """Return whether tensors and targets have the same names and shapes.

    >>> fit({"weight": torch.ones(2, 3)}, {"weight": torch.zeros(3, 2)})
    False
    """
    shapes, needed = ({n: t.shape for n, t in each.items()} for each in (tensors, targets))
    return shapes == needed


def copy_into(tensors: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> None:
    """Copy each tensor into the target of the same name.

    >>> target = torch.zeros(2)
    >>> copy_into({"weight": torch.ones(2)}, {"weight": target})
    >>> target.tolist()
    [1.0, 1.0]
    """
    with torch.no_grad():
        for name, tensor in tensors.items():
            targets[name].copy_(tensor)
