"""Quantities as people write them: ``0.9``, ``8/255``, ``200kB``."""

import math
import re
from collections.abc import Mapping

BYTE_UNITS: Mapping[str, int] = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGT", start=1)},
    "KB": 1000,
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", start=1)},
}

_NUMBER = r"[+-]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_UNIT = "|".join(BYTE_UNITS)
# For scanners that find quantities among other things; it has no groups.
QUANTITY = rf"{_NUMBER}(?:\s*/\s*{_NUMBER})?(?:\s*(?:{_UNIT}))?(?![\w.])"
_PARTS = re.compile(rf"\s*({_NUMBER})(?:\s*/\s*({_NUMBER}))?(?:\s*({_UNIT}))?\s*", re.ASCII)


def parse_quantity(text: str) -> float:
    """Read a number, a fraction of two numbers, or a number of bytes with its unit.

    ``kB``, ``MB``, ``GB`` and ``TB`` count in thousands, ``KiB``, ``MiB``, ``GiB`` and ``TiB``
    in steps of 1024.

    Returns:
        The finite value; bytes where a unit is given.

    Raises:
        ValueError: The text is none of these, or does not name a finite number.

    >>> parse_quantity("200kB")
    200000.0
    """
    match = _PARTS.fullmatch(text[:100])
    if match is None or len(text) > 100:
        raise _not_a_quantity(text)
    number, divisor, unit = match.groups()
    try:
        value = float(number) / float(divisor or 1) * BYTE_UNITS.get(unit, 1)
    except ZeroDivisionError:
        raise _not_a_quantity(text) from None
    if not math.isfinite(value):
        raise _not_a_quantity(text)
    return value


def _not_a_quantity(text: str) -> ValueError:
    shown = text if len(text) <= 60 else text[:57] + "..."
    return ValueError(
        f"{shown!r} is not a quantity: write a finite number (0.9, 1e-3), a fraction (8/255) or "
        f"bytes with a unit (200kB, 1.5 MiB). Units: {', '.join(BYTE_UNITS)}."
    )
