"""Conditions on names and values: `when` of a space, and ``--where`` of the command line.

```
condition   every ("or" every)*
every       negation ("and" negation)*
negation    "not" negation | "(" condition ")" | comparison
comparison  operand (("==" | "!=" | "<" | "<=" | ">" | ">=") operand)+
          | name ("in" | "not in") "[" literal ("," literal)* "]"
operand     name | literal            one of two neighbors is a name, the other a literal
literal     quoted text | true | false | quantity such as 4, 1e-3, 8/255 or 200kB
```

The text is parsed and never executed. A list may also be in parentheses, as in Python.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from search_spaces.condition_tokens import Token, misread, tokens
from search_spaces.domains import Value

MAX_DEPTH = 50
ORDER: Mapping[str, Callable[..., bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_BRACKETS = {"[": "]", "(": ")"}
_KEYWORDS = {"and", "or", "not", "in"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One parameter compared with literals.

    Numbers equal numbers, text equals text, and booleans equal booleans: `1 == true` is false.

    Attributes:
        name: The parameter.
        symbol: One of `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not in`.
        literals: What it is compared with: several for `in` and `not in`, otherwise one. The four
            order symbols have a number.
    """

    name: str
    symbol: str
    literals: tuple[Value, ...] = field(compare=False)
    # 1, 1.0 and True are equal, but comparisons with them are not the same.
    _typed: tuple[tuple[type, Value], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_typed", tuple((type(each), each) for each in self.literals))

    def holds(self, value: Value) -> bool:
        """Return whether `value` fulfills the comparison; text and booleans have no order."""
        if self.symbol in ORDER:
            literal = self.literals[0]
            return _kind(value) == "number" and ORDER[self.symbol](value, literal)
        listed = any(_kind(value) == _kind(item) and value == item for item in self.literals)
        return listed == (self.symbol in ("==", "in"))

    def __str__(self) -> str:
        listed = [repr(literal) for literal in self.literals]
        right = f"[{', '.join(listed)}]" if self.symbol.endswith("in") else listed[0]
        return f"{self.name} {self.symbol} {right}"


@dataclass(frozen=True, slots=True)
class Not:
    """A part that must not hold.

    Attributes:
        part: The negated part.
    """

    part: "Part"

    def __post_init__(self) -> None:
        object.__setattr__(self, "part", _alone(self.part))

    def __str__(self) -> str:
        return f"not {_enclosed(self.part)}"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Parts of which at least one must hold.

    Attributes:
        parts: Two or more; nested `AnyOf` are flattened.
    """

    parts: "tuple[Part, ...]"

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(_spliced(map(_alone, self.parts), AnyOf)))

    def __str__(self) -> str:
        return " or ".join(map(_enclosed, self.parts))


@dataclass(frozen=True, slots=True, init=False)
class Condition:
    """Parts that must all hold: a whole condition, or an `and` within one.

    Args:
        comparisons: The parts, one or more: most often comparisons.

    Attributes:
        parts: The same, with nested `Condition` flattened.
    """

    parts: "tuple[Part, ...]"

    def __init__(self, comparisons: "tuple[Part, ...]") -> None:
        object.__setattr__(self, "parts", tuple(_spliced(comparisons, Condition)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a condition such as `layers >= 2 and not (bits in [2, 3] or tune == 'head')`.

        The text is parsed and never executed; only names, comparisons and literals are accepted.

        Raises:
            ValueError: The text does not follow the grammar; the message says where.

        >>> str(Condition.parse("0.1 <= rate < 8/16 or size > 200kB"))
        '(rate >= 0.1 and rate < 0.5) or size > 200000'
        """
        return cls((_Parser(text).whole(),))

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All comparisons in it, in the order written."""
        return tuple(each for each, _ in comparisons_in(self))

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters it mentions, each once, in the order written."""
        return tuple(dict.fromkeys(each.name for each, _ in comparisons_in(self)))

    def holds(self, params: Mapping[str, Value]) -> bool:
        """Return whether it holds for any values of the parameters that are not in `params`.

        A comparison with a missing parameter therefore does not hold, and neither does its
        negation: `not (x == 1)` means `x != 1`, also if there is no `x`.

        Args:
            params: Values of the active parameters.

        >>> Condition.parse("bits <= 4").holds({"bits": 3})
        True
        >>> Condition.parse("bits <= 4").holds({})
        False
        """
        return is_told(self, params)

    def __str__(self) -> str:
        return (
            str(self.parts[0])
            if len(self.parts) == 1
            else " and ".join(map(_enclosed, self.parts))
        )


Part = Comparison | Condition | AnyOf | Not
"""One node of the tree."""


def comparisons_in(part: Part, *, wanted: bool = True) -> Iterator[tuple[Comparison, bool]]:
    """Yield all comparisons below a node, and whether each should hold or, under `not`, fail.

    >>> parsed = Condition.parse("a == 1 and not b == 2")
    >>> [(str(each), wanted) for each, wanted in comparisons_in(parsed)]
    [('a == 1', True), ('b == 2', False)]
    """
    if isinstance(part, Comparison):
        yield part, wanted
    elif isinstance(part, Not):
        yield from comparisons_in(part.part, wanted=not wanted)
    else:
        for each in part.parts:
            yield from comparisons_in(each, wanted=wanted)


def remainder(
    part: Part, tell: Callable[[Comparison, bool], bool | None], *, wanted: bool = True
) -> Part | bool:
    """Simplify a condition by what is known of its comparisons.

    Args:
        part: The condition.
        tell: Given a comparison and whether it should hold (or fail, under `not`), returns
            whether it does; None if undecided.
        wanted: Whether the whole should hold or fail.

    Returns:
        Whether it does, if that is decided; otherwise the undecided rest of the condition.

    >>> parsed = Condition.parse("a == 1 and b == 2")
    >>> str(remainder(parsed, lambda each, _: True if each.name == "a" else None))
    'b == 2'
    """
    if isinstance(part, Comparison):
        told = tell(part, wanted)
        return told if told is not None else part if wanted else Not(part)
    if isinstance(part, Not):
        return remainder(part.part, tell, wanted=not wanted)
    every = isinstance(part, Condition) is wanted
    left = []
    for each in part.parts:
        rest = remainder(each, tell, wanted=wanted)
        if rest is (not every):
            return rest
        if not isinstance(rest, bool):
            left.append(rest)
    if len(left) <= 1:
        return left[0] if left else every
    return Condition(tuple(left)) if every else AnyOf(tuple(left))


def is_told(part: Part, params: Mapping[str, Value], *, wanted: bool = True) -> bool:
    """Return whether `params` alone decide that a condition holds, or fails, as `wanted`.

    >>> is_told(Condition.parse("a == 1 or b == 2"), {"b": 2})
    True
    """
    if isinstance(part, Comparison):
        return part.name in params and part.holds(params[part.name]) is wanted
    if isinstance(part, Not):
        return is_told(part.part, params, wanted=not wanted)
    found = (is_told(each, params, wanted=wanted) for each in part.parts)
    return all(found) if isinstance(part, Condition) is wanted else any(found)


def _spliced(parts: Iterable[Part], kind: type[Condition] | type[AnyOf]) -> Iterator[Part]:
    for part in parts:
        if isinstance(part, kind):
            yield from part.parts
        else:
            yield part


def _alone(part: Part) -> Part:
    return part.parts[0] if isinstance(part, Condition) and len(part.parts) == 1 else part


def _enclosed(part: Part) -> str:
    return f"({part})" if isinstance(part, Condition | AnyOf) else str(part)


def _kind(value: object) -> str:
    if isinstance(value, bool | str):
        return "boolean" if isinstance(value, bool) else "text"
    return "number" if isinstance(value, int | float) else "other"


@dataclass(frozen=True, slots=True)
class _Literal:
    value: Value


_Operand = str | _Literal | tuple[Value, ...]


class _Parser:
    """Recursive descent over the tokens of one condition; used once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = self._depth = 0
        self._tokens = tokens(text)

    def whole(self) -> Part:
        condition = self._condition()
        if self._next.kind != "end":
            raise self._error(self._next.start, "expected 'and', 'or' or the end")
        return condition

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _take_if(self, *written: str) -> str | None:
        token = self._next
        if token.kind in ("name", "symbol") and token.written in written:
            return self._take().written
        return None

    def _expect(self, written: str) -> None:
        if self._take_if(written) is None:
            raise self._error(self._next.start, f"expected {written!r}")

    def _condition(self) -> Part:
        parts = [self._every()]
        while self._take_if("or"):
            parts.append(self._every())
        return AnyOf(tuple(parts)) if len(parts) > 1 else parts[0]

    def _every(self) -> Part:
        parts = [self._negation()]
        while self._take_if("and"):
            parts.append(self._negation())
        return _all_of(parts)

    def _negation(self) -> Part:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(self._next.start, f"it is nested more than {MAX_DEPTH} deep")
        try:
            if self._take_if("not"):
                return Not(self._negation())
            if self._take_if("("):
                inner = self._condition()
                self._expect(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Part:
        left: _Operand = self._operand()
        parts: list[Part] = []
        while symbol := self._symbol():
            where = self._next.start
            right = self._listed() if symbol.endswith("in") else self._operand()
            parts.append(self._related(left, symbol, right, where))
            left = right
        if not parts:
            raise self._error(self._next.start, "expected a comparison such as == true or <= 4")
        return _all_of(parts)

    def _symbol(self) -> str | None:
        if self._take_if("not"):
            self._expect("in")
            return "not in"
        return self._take_if(*_MIRRORED, "in")

    def _operand(self) -> _Operand:
        token = self._next
        if token.kind != "name":
            return _Literal(self._literal())
        if token.written in _KEYWORDS:
            raise self._error(token.start, "expected a name or a value")
        return self._take().written

    def _listed(self) -> tuple[Value, ...]:
        closing = _BRACKETS.get(self._take_if(*_BRACKETS) or "")
        if closing is None:
            raise self._error(self._next.start, "expected a list such as [2, 4]")
        values = [self._literal()]
        while self._take_if(",") and self._next.written != closing:
            values.append(self._literal())
        self._expect(closing)
        return tuple(values)

    def _literal(self) -> Value:
        token = self._take()
        if token.value is not None:
            return token.value
        is_word = token.kind == "name" and token.written not in _KEYWORDS
        hint = f"; quote text, {token.written!r}" if is_word else ""
        raise self._error(token.start, f"expected a number, true, false or text in quotes{hint}")

    def _related(self, left: _Operand, symbol: str, right: _Operand, where: int) -> Comparison:
        if isinstance(left, _Literal) and isinstance(right, str) and symbol in _MIRRORED:
            left, symbol, right = right, _MIRRORED[symbol], left
        if not isinstance(left, str) or isinstance(right, str):
            hint = f"; quote text, {right!r}" if isinstance(right, str) else ""
            sides = "a comparison needs a name on one side and a value on the other"
            raise self._error(where, sides + hint)
        literals = (right.value,) if isinstance(right, _Literal) else right
        if symbol in ORDER and isinstance(literals[0], bool | str):
            raise self._error(where, "only numbers have an order")
        return Comparison(left, symbol, literals)

    def _error(self, at: int, problem: str) -> ValueError:
        return misread(self._text, at, problem)


def _all_of(parts: list[Part]) -> Part:
    return Condition(tuple(parts)) if len(parts) > 1 else parts[0]
