"""What ``auto`` means for the step and the rounding: what measures best at as many bytes."""

from collections.abc import Collection

from trainers.quantization.config import lists_levels

AUTO = "auto"
"""The word for a setting that follows from the bits."""

FEW = 5
"""Below so many bits a look at images pays; docs/guides/quantize.md has the measurements."""


def automatic_rounding(rounding: str, *, bits: Collection[int], qat: str) -> str:
    """Return a rounding, or what ``auto`` stands for.

    That is ``gptq`` if any weight has fewer than five bits, and else ``nearest``, as with
    quantization-aware training, which decides codes itself.

    >>> automatic_rounding("auto", bits=(8, 4), qat="none")
    'gptq'
    >>> automatic_rounding("auto", bits=(8, 32), qat="none")
    'nearest'

    Args:
        rounding: A rounding or ``auto``.
        bits: Bits of the weights.
        qat: As `trainers.quantization.config.check_qat` takes it.
    """
    if rounding != AUTO:
        return rounding
    return "gptq" if qat == "none" and min(bits) < FEW else "nearest"


def automatic_step(step: str, *, rounding: str, quantizer: str) -> str:
    """Return a step, or what ``auto`` stands for.

    That is ``mse`` for evenly spaced levels whose codes ``adaround``, ``gptq`` or ``brecq``
    chooses. With the nearest codes ``mse`` can be worse than ``absmax``, because it cuts large
    weights.

    >>> automatic_step("auto", rounding="gptq", quantizer="affine")
    'mse'
    >>> automatic_step("auto", rounding="nearest", quantizer="affine")
    'absmax'

    Args:
        step: A step or ``auto``.
        rounding: A rounding, not ``auto``.
        quantizer: A name of `trainers.quantization.config.QUANTIZERS`.
    """
    if step != AUTO:
        return step
    is_even = not lists_levels(quantizer)
    return "mse" if rounding in ("adaround", "gptq", "brecq") and is_even else "absmax"
