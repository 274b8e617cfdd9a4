"""What a parameter of a trial accepts: a number in a range, a word, or yes and no."""

import math
import re
from dataclasses import dataclass

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Accepts:
    """What a parameter accepts: a number in a range, one of some words, or true and false.

    Attributes:
        meaning: What the parameter does, for messages and the reference.
        low: Smallest number, inclusive; None for words.
        high: Largest number, inclusive.
        whole: Whether only integers are accepted.
        also: Further values outside the range.
        words: Accepted words.
        pattern: Further words, as a regular expression.
        example: One of these further words, for messages.
        flag: Whether true and false are accepted.
    """

    meaning: str
    low: float | None = None
    high: float = math.inf
    whole: bool = False
    also: tuple[Value, ...] = ()
    words: tuple[str, ...] = ()
    pattern: str = r"(?!)"
    example: str = ""
    flag: bool = False

    def accepts(self, value: Value) -> bool:
        """Return whether a trial can be run with this value.

        >>> bits = Accepts("bits of a weight", 2, 8, whole=True, also=(32,))
        >>> bits.accepts(4), bits.accepts(9), bits.accepts(32)
        (True, False, True)
        """
        if isinstance(value, str):
            return value in self.words or re.fullmatch(self.pattern, value) is not None
        if isinstance(value, bool):
            return self.flag
        if self.whole and not isinstance(value, int):
            return False
        in_range = self.low is not None and self.low <= value <= self.high
        return in_range or value in self.also

    def __str__(self) -> str:
        """Describe the accepted values in words."""
        parts = [repr(word) for word in self.words]
        if self.example:
            parts.append(repr(self.example))
        if self.flag:
            parts.append("true or false")
        if self.low is not None:
            kind = "an integer" if self.whole else "a number"
            parts.append(
                f"{kind} of at least {self.low:g}"
                if self.high == math.inf
                else f"{kind} from {self.low:g} to {self.high:g}"
            )
        parts.extend(repr(value) for value in self.also)
        return " or ".join(parts)
