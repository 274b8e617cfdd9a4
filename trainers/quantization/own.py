"""Levels that code of a user's own places."""

import torch
from torch import Tensor

from trainers.doors import DoorError, call_part, load_part, part_name
from trainers.quantization.codebook import Codebook
from trainers.quantization.quantized import Levels

# Groups and weights of which a quantizer is tried.
_TRIED = (8, 72)


def own_codebook(values: Tensor, bits: int, name: str) -> Codebook:
    """Ask a quantizer of a user's own for the levels of each group.

    It is a function of the weights `(G, n)` and the bits that returns ascending levels `(G, K)`,
    `K` at most `2**bits`; or a pair of these and the thresholds between them `(G, K - 1)`, where
    a weight that reaches a threshold gets the level above it. Without thresholds a weight gets
    the nearest level. In a group with weights of exactly zero, the level that these get becomes
    zero, so that pruned weights stay pruned.

    Args:
        values: float32 `(G, n)`, finite; one row per group.
        bits: 2 to 8.
        name: As `trainers.doors.part_name` returns it.

    Raises:
        DoorError: The code cannot be used; the message says which promise is broken.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from trainers.doors import part_name
    >>> code = "two = lambda values, bits: values.sort(dim=1).values[:, :2]"
    >>> weights = torch.tensor([[-1.0, 0.5, 2.0]])
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "my_quantizer.py")
    ...     _ = file.write_text(code)
    ...     found = own_codebook(weights, 2, part_name("quantizers", f"{file}:two"))
    >>> found.levels.codebook.tolist()
    [[-1.0, 0.5, 0.5, 0.5]]
    """
    count = 1 << bits
    if values.numel() == 0:
        levels = values.new_zeros((len(values), count))
        return Codebook(Levels(bits, name, codebook=levels), levels[:, 1:] + torch.inf)
    answer = call_part(name, load_part("quantizers", name), values.clone(), bits)
    returned = answer if isinstance(answer, tuple | list) else (answer,)
    where = f"{name} was asked for {bits} bits of {len(values)} groups, and returned"
    if not 1 <= len(returned) <= 2:
        raise DoorError(f"{where} {len(returned)} values; levels, or levels and thresholds.")
    levels = _tensor(returned[0], f"{where} levels", len(values), range(1, count + 1))
    used = levels.shape[1]
    if len(returned) == 2:
        wanted = range(used - 1, used)
        thresholds = _tensor(returned[1], f"{where} thresholds", len(values), wanted)
    else:
        thresholds = levels[:, :-1] / 2 + levels[:, 1:] / 2
    levels = _with_zero(values, levels, thresholds)
    if len(returned) == 1:
        thresholds = levels[:, :-1] / 2 + levels[:, 1:] / 2
    elif (levels.diff(dim=1) < 0).any():
        raise DoorError(
            f"{where} thresholds by which a weight of zero, which stays zero, gets a level with "
            f"other levels between it and zero: move the thresholds."
        )
    spare = count - used
    levels = torch.cat([levels, levels[:, -1:].expand(-1, spare)], dim=1)
    thresholds = torch.cat([thresholds, thresholds.new_full((len(levels), spare), torch.inf)], 1)
    return Codebook(Levels(bits, name, codebook=levels.contiguous()), thresholds.contiguous())


def _tensor(given: object, what: str, groups: int, columns: range) -> Tensor:
    """Return float32 `(groups, n)` with n one of `columns`, finite and ascending."""
    if not isinstance(given, Tensor):
        raise DoorError(f"{what} of the type {type(given).__name__}; a tensor is needed.")
    if given.is_complex():
        raise DoorError(f"{what} of {given.dtype}; real numbers are needed.")
    if given.ndim != 2 or len(given) != groups or given.shape[1] not in columns:
        most = columns[-1]
        size = f"{most}" if len(columns) == 1 else f"1 to {most}"
        raise DoorError(
            f"{what} of the shape {tuple(given.shape)}; {groups} rows of {size} are needed."
        )
    found = given.detach().to("cpu", torch.float32)
    if not found.isfinite().all():
        raise DoorError(f"{what} that are NaN or infinite.")
    if (found.diff(dim=1) < 0).any():
        raise DoorError(f"{what} that do not ascend: sort each row.")
    return found


def _with_zero(values: Tensor, levels: Tensor, thresholds: Tensor) -> Tensor:
    """Set the level of weights of exactly zero to zero, in groups that have such weights."""
    zero = torch.zeros((len(levels), 1))
    place = torch.searchsorted(thresholds.contiguous(), zero, right=True)
    has_zero = (values == 0).any(dim=1, keepdim=True)
    return torch.where(has_zero, levels.scatter(1, place, 0.0), levels)


def try_quantizer(reference: str, bits: int) -> int:
    """Ask a quantizer for levels of random weights, some of them zero.

    Returns:
        How many levels a group has at most.

    Raises:
        DoorError: As `own_codebook`.

    >>> try_quantizer("statistics:fmean", 4)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.doors.references.DoorError: statistics:fmean#... was called with ...and raised ...
    """
    weights = torch.randn(_TRIED, generator=torch.Generator().manual_seed(0))
    weights[:, :2] = 0.0
    name = part_name("quantizers", reference)
    found, again = (own_codebook(weights, bits, name).levels.codebook for _ in range(2))
    assert again is not None  # noqa: S101 - it lists its levels
    assert found is not None  # noqa: S101
    if not found.equal(again):
        raise DoorError(
            f"{name} returned other levels for the same weights, so that nothing could be "
            f"repeated: draw with a torch.Generator of its own seed."
        )
    return max(len(row.unique()) for row in found)
