"""Everything that may be sampled, with what each parameter accepts; importable without torch."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from trainers.errors import did_you_mean
from trainers.networks.backbone_table import backbone_names
from trainers.networks.sizing import RULES, SMALLEST_FRACTION
from trainers.quantization.calibration import ROUNDINGS
from trainers.quantization.config import (
    FLOAT_BITS,
    MAX_RATE_WEIGHT,
    QAT_MODES,
    QUANTIZERS,
    SCOPES,
    STEPS,
)
from trainers.quantization.layer_bits import LAYER_BITS

MAX_HIDDEN_LAYERS = 3

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Accepts:
    """What a parameter accepts: a number in a range, or one of some words.

    Attributes:
        meaning: What the parameter does, for messages and the reference.
        low: Smallest number, inclusive; None for words.
        high: Largest number, inclusive.
        whole: Whether only integers are accepted.
        also: Further values outside the range.
        words: Accepted words.
        pattern: Further words, as a regular expression.
    """

    meaning: str
    low: float | None = None
    high: float = math.inf
    whole: bool = False
    also: tuple[Value, ...] = ()
    words: tuple[str, ...] = ()
    pattern: str = r"(?!)"

    def accepts(self, value: Value) -> bool:
        """Return whether a trial can be run with this value.

        >>> PARAMETERS["bits"].accepts(4), PARAMETERS["bits"].accepts(9)
        (True, False)
        """
        if isinstance(value, str):
            return value in self.words or re.fullmatch(self.pattern, value) is not None
        if isinstance(value, bool) or self.low is None:
            return False
        if self.whole and not isinstance(value, int):
            return False
        return value in self.also or self.low <= value <= self.high

    def __str__(self) -> str:
        """Describe the accepted values in words."""
        parts = [repr(word) for word in self.words]
        if self.pattern == _LAST_BLOCKS:
            parts.append("'last_blocks:N'")
        if self.low is not None:
            kind = "an integer" if self.whole else "a number"
            parts.append(
                f"{kind} of at least {self.low:g}"
                if self.high == math.inf
                else f"{kind} from {self.low:g} to {self.high:g}"
            )
        parts.extend(repr(value) for value in self.also)
        return " or ".join(parts)


def _bits(of: str) -> Accepts:
    meaning = f"bits of {of}; {FLOAT_BITS} is not quantized"
    return Accepts(meaning, 2, 8, whole=True, also=(FLOAT_BITS,))


_LAST_BLOCKS = r"last_blocks:[1-9][0-9]{0,2}"
_WIDTH = 65_536

PARAMETERS: Mapping[str, Accepts] = {
    "fc_rule": Accepts("rule that sizes the head; see trainers/networks/sizing.py", words=RULES),
    "fc_fraction": Accepts(
        "share of the full widths, for fc_rule fraction", SMALLEST_FRACTION, 1.0
    ),
    "fc_layers": Accepts("hidden FC layers of the head", 1, MAX_HIDDEN_LAYERS, whole=True),
    "fc_width_1": Accepts("width of the first hidden FC layer", 1, _WIDTH, whole=True),
    "fc_width_2": Accepts("width of the second hidden FC layer", 1, _WIDTH, whole=True),
    "fc_width_3": Accepts("width of the third hidden FC layer", 1, _WIDTH, whole=True),
    "bits": _bits("a convolution weight"),
    "fc_bits": _bits("an FC weight"),
    "quantizer": Accepts("how levels are placed; see docs/guides/quantize.md", words=QUANTIZERS),
    "scope": Accepts("what shares its levels", words=SCOPES),
    "rate_weight": Accepts("what the quantizer entropy pays for a bit less", 0.0, MAX_RATE_WEIGHT),
    "step": Accepts("what decides the range of evenly spaced levels", words=STEPS),
    "rounding": Accepts("how the code of each weight is chosen", words=ROUNDINGS),
    "qat": Accepts("how training knows of the quantization", words=QAT_MODES),
    "tune": Accepts("what is trained", words=("head", "all"), pattern=_LAST_BLOCKS),
    "learning_rate": Accepts("peak learning rate", 1e-8, 10.0),
    "weight_decay": Accepts("decoupled weight decay", 0.0, 1.0),
    "dropout": Accepts("dropout before each FC layer but the first", 0.0, 0.95),
    "label_smoothing": Accepts("label smoothing of the loss", 0.0, 0.9),
    "optimizer": Accepts("update rule", words=("adamw", "sgd")),
    "batch_size": Accepts("images a step", 1, 65_536, whole=True),
    "epochs": Accepts("passes over the training images", 1, 10_000, whole=True),
    "backbone": Accepts("the convolutional part", words=backbone_names()),
    **{
        name: _bits(f"the weight of convolution {number}")
        for number, name in enumerate(LAYER_BITS, start=1)
    },
}
"""Everything that may be sampled."""

PARAMETER_NAMES = (
    *(name for name in PARAMETERS if name not in LAYER_BITS),
    f"{LAYER_BITS[0]} to {LAYER_BITS[-1]}",
)
"""The names of `PARAMETERS` as messages list them."""


def check_parameter(name: str, value: Value) -> None:
    """Reject an unknown parameter, or a value that a trial cannot be run with.

    >>> check_parameter("bits", 4)

    Raises:
        ValueError: The message says what would have been accepted.
    """
    if name not in PARAMETERS:
        hint = did_you_mean(name, PARAMETERS)
        raise ValueError(f"Unknown parameter {name!r}. Known: {', '.join(PARAMETER_NAMES)}.{hint}")
    if not PARAMETERS[name].accepts(value):
        raise ValueError(f"{name} is {value!r}, but a trial needs {PARAMETERS[name]}.")
