"""Levels of codebooks as integers of 8 bits, so that a codebook does not outweigh its codes."""

import torch
from torch import Tensor

from trainers.quantization.codebook import Codebook, SortedGroups, midpoints
from trainers.quantization.quantized import Levels

TOP_ENTRY = 127
"""The largest integer of a level."""

_SMALLEST_STEP = torch.finfo(torch.float32).tiny
# An upper limit; groups of some thousand weights converge after one to four rounds.
_ROUNDS = 50
# As in `trainers.quantization.codebook`: sorted weights and their sums take memory.
_VALUES_AT_ONCE = 1 << 22


def with_integer_levels(values: Tensor, codebook: Codebook) -> Codebook:
    """Replace the levels of each group by integers from -127 to 127 times one step.

    The step is a 127th of the largest magnitude of a level, so that no level moves by more than
    half of that (up to float32 rounding), and zero does not move. Levels of ``kmeans`` are
    refitted with Lloyd's rounds, in which the mean of a cell is rounded to the nearest integer:
    that is the best one, so that no round increases the squared error. Those of other quantizers
    keep their thresholds, and with them their codes.

    Two levels may become equal, mostly of codebooks of 7 and 8 bits.

    Args:
        values: float32 `(G, n)`, finite: the weights that the codebook was fitted to.
        codebook: Of G groups.

    >>> from trainers.quantization.codebook import kmeans_codebook
    >>> weights = torch.tensor([[-127.0, -127.0, 0.0, 30.3, 30.4, 90.0]])
    >>> with_integer_levels(weights, kmeans_codebook(weights, bits=2)).levels.codebook.tolist()
    [[-127.0, 0.0, 30.0, 90.0]]
    """
    given, thresholds = codebook.levels, codebook.thresholds
    assert given.codebook is not None  # noqa: S101 - its levels are listed
    step = given.codebook.abs().amax(dim=1) / TOP_ENTRY
    step = torch.where(step >= _SMALLEST_STEP, step, torch.ones_like(step))
    levels = _rounded(given.codebook, step)
    if given.scheme == "kmeans" and values.numel():
        rows = max(1, _VALUES_AT_ONCE // values.shape[1])
        parts = zip(*(torch.split(each, rows) for each in (values, levels, step)), strict=True)
        levels = torch.cat([_refitted(*part) for part in parts])
        thresholds = midpoints(levels)
    found = Levels(given.bits, given.scheme, codebook=levels, entry_step=step)
    return Codebook(found, thresholds)


def _rounded(levels: Tensor, step: Tensor) -> Tensor:
    """Return the nearest integers times the step: float32 `(G, K)`."""
    entries = (levels / step.unsqueeze(1)).round().clamp(-TOP_ENTRY, TOP_ENTRY)
    # Through an integer, which has no -0: the levels are, bit for bit, those that are read back.
    return entries.to(torch.int8) * step.unsqueeze(1)


def _refitted(values: Tensor, levels: Tensor, step: Tensor) -> Tensor:
    groups = SortedGroups(values)
    for _ in range(_ROUNDS):
        counts, sums = groups.cells(midpoints(levels))
        stays = (counts == 0) | (groups.has_zero & (levels == 0))
        means = torch.where(stays, levels.double(), sums / counts)
        before, levels = levels, _rounded(means.float(), step)
        if torch.equal(levels, before):
            break
    return levels
