"""Quantities in human-readable form: ``200kB``, ``8/255``, 22.4 kB, 96.3 %, 2 min 05 s.

The unit of a measured value follows from its name, as everywhere in this project: ``_bytes``,
``_s``, ``_ms``, a count, or a fraction.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import UsageError
from search_spaces import quantities
from trainers.evaluators.config import (
    ATTACKED,
    CORRUPTED,
    FROM_REFERENCE,
    MASKED,
    OF_REFERENCE,
    PERTURBATION,
)


def parse_quantity(text: str) -> float:
    """Read a number, a fraction or bytes, as `search_spaces.quantities.parse_quantity` does.

    Raises:
        UsageError: The text is none of these, or does not name a finite number.

    >>> parse_quantity("200kB")
    200000.0
    """
    try:
        return quantities.parse_quantity(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


_COUNTS = ("params", "macs", "count", "stages")
_FRACTIONS = ("accuracy", "fraction", "sparsity", "f1", "ece")
_PREFIXES = ("", "k", "M", "G", "T")
_SPARKS = "▁▂▃▄▅▆▇█"
NOTHING = "-"


class Unit(StrEnum):
    """What a number of a given name counts."""

    BYTES = "bytes"
    COUNT = "count"
    FRACTION = "fraction"
    SECONDS = "s"
    MILLISECONDS = "ms"
    NONE = ""


class Direction(StrEnum):
    """Which way is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What the name of a measured value means.

    Attributes:
        name: As in the store and in the glossary.
        direction: Which way is better; None if unknown.
        is_family: Whether a suffix may follow the name: ``robust_accuracy_eps2``.
        is_attack: Whether it is measured by an attack, which the sweep file describes.
        known_before_training: Whether it is a closed form of the configuration.
        changed_by_training: Whether training changes it, so that milestones have a proxy for it.
        paired_by_image: Whether the answer to each image is kept, for paired tests.
        of_front_alone: Whether only the front's members are measured, after the search.
        needs_reference: Whether adversarial images are exchanged with the reference.
    """

    name: str
    direction: Direction | None = None
    is_family: bool = False
    is_attack: bool = False
    known_before_training: bool = False
    changed_by_training: bool = False
    paired_by_image: bool = False
    of_front_alone: bool = False
    needs_reference: bool = False


def _size(name: str) -> Quantity:
    return Quantity(name=name, direction=Direction.MINIMIZE, known_before_training=True)


def _of_classes(name: str, direction: Direction) -> Quantity:
    return Quantity(name=name, direction=direction, changed_by_training=True)


def _under_attack(name: str, **of_front: bool) -> Quantity:
    return Quantity(
        name=name,
        direction=Direction.MAXIMIZE,
        is_family=True,
        is_attack=True,
        changed_by_training=not of_front,
        paired_by_image=True,
        **of_front,
    )


QUANTITIES: Mapping[str, Quantity] = {
    each.name: each
    for each in (
        Quantity(
            name="accuracy",
            direction=Direction.MAXIMIZE,
            changed_by_training=True,
            paired_by_image=True,
        ),
        _under_attack(ATTACKED),
        _under_attack(FROM_REFERENCE, of_front_alone=True, needs_reference=True),
        _under_attack(OF_REFERENCE, of_front_alone=True, needs_reference=True),
        Quantity(
            name=PERTURBATION,
            direction=Direction.MAXIMIZE,
            is_family=True,
            is_attack=True,
            changed_by_training=True,
        ),
        Quantity(
            name=CORRUPTED,
            direction=Direction.MAXIMIZE,
            is_family=True,
            is_attack=True,
            changed_by_training=True,
        ),
        Quantity(
            name=MASKED,
            direction=Direction.MINIMIZE,
            is_family=True,
            is_attack=True,
            of_front_alone=True,
        ),
        _size("memory_bytes"),
        _size("head_bytes"),
        _size("backbone_bytes"),
        Quantity(name="sparsity", direction=Direction.MAXIMIZE),
        Quantity(name="storage_bytes", direction=Direction.MINIMIZE),
        _size("params"),
        _size("head_params"),
        _size("trainable_params"),
        _of_classes("balanced_accuracy", Direction.MAXIMIZE),
        _of_classes("macro_f1", Direction.MAXIMIZE),
        _of_classes("top5_accuracy", Direction.MAXIMIZE),
        _of_classes("nll", Direction.MINIMIZE),
        _of_classes("ece", Direction.MINIMIZE),
        Quantity(name="latency_ms", direction=Direction.MINIMIZE),
        Quantity(name="peak_inference_bytes", direction=Direction.MINIMIZE),
        Quantity(name="macs", direction=Direction.MINIMIZE),
        Quantity(name="train_s", direction=Direction.MINIMIZE),
        Quantity(name="eval_s", direction=Direction.MINIMIZE),
    )
}
"""What this project measures, by name; `docs/glossary.md` says what each is."""

_FAMILIES = sorted((q for q in QUANTITIES.values() if q.is_family), key=lambda q: -len(q.name))


def quantity(name: str) -> Quantity:
    """Look up what the name of a measured value means.

    The more specific family wins: ``robust_accuracy_from_reference_eps2`` belongs to
    ``robust_accuracy_from_reference``.

    Returns:
        A row of `QUANTITIES`; for any other name, a row without a direction.

    >>> quantity("robust_accuracy_eps2").is_attack
    True
    >>> quantity("loss").direction is None
    True
    """
    families = (each for each in _FAMILIES if re.fullmatch(rf"{each.name}\w*", name, re.ASCII))
    return QUANTITIES.get(name) or next(families, Quantity(name=name))


def known_direction(name: str) -> Direction | None:
    """Return which way a measured value is better; None if that is not known.

    A prefix ``test_`` makes no difference, nor does a suffix after the name of an attack.

    >>> known_direction("test_accuracy").value
    'maximize'
    """
    return quantity(name.removeprefix("test_")).direction


def unit(name: str) -> Unit:
    """Derive the unit of a quantity from its name.

    >>> unit("memory_bytes").value, unit("robust_accuracy_eps2").value
    ('bytes', 'fraction')
    """
    last = name.rsplit("_", 1)[-1]
    by_ending = {"bytes": Unit.BYTES, "s": Unit.SECONDS, "ms": Unit.MILLISECONDS}
    if "_" in name and last in by_ending:
        return by_ending[last]
    if name == "seconds":
        return Unit.SECONDS
    # An accuracy under attack may have a word of its own behind it: robust_accuracy_eps2.
    if last in _FRACTIONS or "accuracy" in name.split("_"):
        return Unit.FRACTION
    return Unit.COUNT if last in _COUNTS else Unit.NONE


def label(name: str) -> str:
    """Write a quantity's name in words and without its unit.

    >>> label("memory_bytes"), label("robust_accuracy")
    ('memory', 'robust accuracy')
    """
    if "_" in name and unit(name) in (Unit.BYTES, Unit.SECONDS, Unit.MILLISECONDS):
        name = name.rsplit("_", 1)[0]
    return name.replace("_", " ")


def human(name: str, value: float | None) -> str:
    """Write `value` with the unit that belongs to `name`; a dash when there is no number.

    >>> human("memory_bytes", 22400), human("accuracy", 0.963), human("params", None)
    ('22.4 kB', '96.3 %', '-')
    """
    if value is None or math.isnan(value):
        return NOTHING
    return _WRITTEN[unit(name)](value)


def duration(seconds: float) -> str:
    """Write a length of time.

    >>> duration(0.4), duration(125), duration(3780)
    ('0.4 s', '2 min 05 s', '1 h 03 min')
    """
    if not math.isfinite(seconds):
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def human_param(value: object) -> str:
    """Write a parameter's value, floats to three digits.

    >>> human_param(True), human_param(0.00123456), human_param(4)
    ('yes', '0.00123', '4')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def human_params(params: Mapping[str, object]) -> str:
    """Write a configuration in one line.

    >>> human_params({"bits": 4, "lr": 0.00123456})
    'bits=4 lr=0.00123'
    """
    return " ".join(f"{name}={human_param(value)}" for name, value in params.items())


def sparkline(values: Sequence[float]) -> str:
    """Draw a curve with one character per value; a space where a value is not finite.

    >>> sparkline([0.0, 1.0, math.nan, 7.0])
    '▁▂ █'
    """
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    top = len(_SPARKS) - 1
    return "".join(
        _SPARKS[round(top * (value - low) / ((high - low) or 1.0))]
        if math.isfinite(value)
        else " "
        for value in values
    )


def _prefixed(value: float, symbol: str) -> str:
    """Write a number with a decimal prefix and three digits or more: 999 B, 22.4 kB, 1.25 MB."""
    size, step = abs(value), 0
    # 999.95 and not 1000: what would round to "1000 k" is written "1.00 M".
    while size >= (1000 if step == 0 else 999.5) and step < len(_PREFIXES) - 1:
        size, step = size / 1000, step + 1
    digits = 0 if (step == 0 and size == int(size)) or size >= 99.95 else 1 if size >= 9.995 else 2
    sign = "-" if value < 0 else ""
    return f"{sign}{size:.{digits}f} {_PREFIXES[step]}{symbol}"


_WRITTEN: Mapping[Unit, Callable[[float], str]] = {
    Unit.BYTES: lambda value: _prefixed(value, "B"),
    Unit.COUNT: lambda value: _prefixed(value, "").strip(),
    Unit.FRACTION: lambda value: f"{100 * value:.1f} %",
    Unit.SECONDS: duration,
    Unit.MILLISECONDS: lambda value: f"{value:.3g} ms",
    # A width of 25088 is not 2.509e+04.
    Unit.NONE: lambda value: f"{value:.{5 if float(value).is_integer() else 4}g}",
}
