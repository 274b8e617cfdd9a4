"""Conditions on trials, as people write them after ``--where``.

```
condition   either ("or" either)*
either      negation ("and" negation)*
negation    "not" negation | "(" condition ")" | comparison
comparison  operand (("==" | "!=" | "<" | "<=" | ">" | ">=") operand)+
          | name ("in" | "not in") "[" literal ("," literal)* "]"
operand     name | literal            one of two neighbors is a name, the other a literal
literal     quoted text | true | false | quantity such as 4, 1e-3, 8/255 or 200kB
```

The text is read by this grammar and never run.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.columns import Floats
from orchestrator.errors import UsageError
from orchestrator.quantities import QUANTITY, parse_quantity
from orchestrator.trials import Value
from search_spaces import Comparison

MAX_CHARACTERS = 1_000
MAX_DEPTH = 50

Row = Mapping[str, Value]
Column = Floats | Sequence[Value | None]
"""What each row has of one name: numbers, NaN for none, or any values, None for none."""
Mask = NDArray[np.bool_]
Predicate = Callable[[Callable[[str], Column]], Mask]

_TOKEN = re.compile(
    rf"(?P<text>'[^']*'|\"[^\"]*\")|(?P<number>{QUANTITY})|(?P<name>[A-Za-z_][\w.]*)"
    r"|(?P<symbol><=|>=|==|!=|[<>()\[\],])",
    re.ASCII,
)
_SPACE = re.compile(r"\s*")
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_BRACKETS = {"[": "]", "(": ")"}
_TRUTH = {"true": True, "True": True, "false": False, "False": False}
_KEYWORDS = {"and", "or", "not", "in"}
_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on rows of names and values.

    A comparison is false where its name is missing from the row, and where text is compared with
    a number.

    Attributes:
        text: The condition as written.
        names: What it mentions, each once, in the order written. Whether they exist is for the
            caller to check, who knows the trials.
        mask: Which rows fulfill it, given what they have of each name, in the same order.
    """

    text: str
    names: tuple[str, ...]
    mask: Predicate

    @classmethod
    def parse(cls, text: str) -> "Filter":
        """Read a condition such as ``bits <= 4 and backbone == 'vgg16'``.

        Raises:
            UsageError: The text does not follow the grammar; the sentence says where.
        """
        parser = _Parser(text)
        predicate = parser.whole()
        return cls(text, tuple(dict.fromkeys(parser.names)), predicate)

    def keep(self, row: Row) -> bool:
        """Whether one row fulfills it."""
        return bool(self.mask(lambda name: [row.get(name)])[0])


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    written: str
    start: int


@dataclass(frozen=True, slots=True)
class _Literal:
    value: Value


_Operand = str | _Literal | tuple[Value, ...]


class _Parser:
    """Recursive descent over the tokens of one condition; used once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.names: list[str] = []
        self._at = self._depth = 0
        if len(text) > MAX_CHARACTERS:
            raise self._error(MAX_CHARACTERS, f"it is longer than {MAX_CHARACTERS:,} characters")
        self._tokens = self._scan()

    def whole(self) -> Predicate:
        condition = self._condition()
        if self._next.kind != "end":
            raise self._error(self._next.start, "expected 'and', 'or' or the end")
        return condition

    def _scan(self) -> list[_Token]:
        tokens: list[_Token] = []
        start = _after_space(self._text, 0)
        while start < len(self._text):
            match = _TOKEN.match(self._text, start)
            if match is None:
                equals = self._text[start] == "="
                raise self._error(
                    start, "write == to compare" if equals else "this has no meaning here"
                )
            tokens.append(_Token(match.lastgroup or "", match.group(), start))
            start = _after_space(self._text, match.end())
        return [*tokens, _Token("end", "", len(self._text))]

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
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

    def _condition(self) -> Predicate:
        parts = [self._either()]
        while self._take_if("or"):
            parts.append(self._either())
        if len(parts) == 1:
            return parts[0]
        return lambda look: np.logical_or.reduce([part(look) for part in parts])

    def _either(self) -> Predicate:
        parts = [self._negation()]
        while self._take_if("and"):
            parts.append(self._negation())
        return _all_of(parts)

    def _negation(self) -> Predicate:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(self._next.start, f"it is nested more than {MAX_DEPTH} deep")
        try:
            if self._take_if("not"):
                inner = self._negation()
                return lambda look: np.logical_not(inner(look))
            if self._take_if("("):
                inner = self._condition()
                self._expect(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Predicate:
        left: _Operand = self._operand()
        parts = []
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

    def _operand(self) -> str | _Literal:
        token = self._next
        if token.kind != "name" or token.written in _TRUTH:
            return _Literal(self._literal())
        if token.written in _KEYWORDS:
            raise self._error(token.start, "expected a name or a value")
        self.names.append(token.written)
        return self._take().written

    def _listed(self) -> tuple[Value, ...]:
        closing = _BRACKETS.get(self._take_if(*_BRACKETS) or "")
        if closing is None:
            raise self._error(self._next.start, "expected a list such as [2, 4]")
        values = [self._literal()]
        while self._take_if(","):
            values.append(self._literal())
        self._expect(closing)
        return tuple(values)

    def _literal(self) -> Value:
        token = self._take()
        if token.kind == "text":
            return token.written[1:-1]
        if token.kind == "number":
            return parse_quantity(token.written)
        if token.written in _TRUTH:
            return _TRUTH[token.written]
        raise self._error(token.start, "expected a number, true, false or text in quotes")

    def _related(self, left: _Operand, symbol: str, right: _Operand, where: int) -> Predicate:
        if isinstance(left, _Literal) and isinstance(right, str) and symbol in _MIRRORED:
            left, symbol, right = right, _MIRRORED[symbol], left
        if not isinstance(left, str) or isinstance(right, str):
            raise self._error(
                where, "a comparison needs a name on one side and a value on the other"
            )
        literals = (right.value,) if isinstance(right, _Literal) else right
        if symbol[0] in "<>" and isinstance(literals[0], bool | str):
            raise self._error(where, "only numbers have an order")
        return _holds(Comparison(left, symbol, literals))

    def _error(self, at: int, problem: str) -> UsageError:
        near = self._text[at : at + 20]
        place = f"at character {at + 1}, {near!r}" if near else "at its end"
        shown = self._text if len(self._text) <= 100 else self._text[:97] + "..."
        return UsageError(
            f"The condition {shown!r} does not parse {place}: {problem}. "
            f"Write for example: bits <= 4 and backbone == 'vgg16'."
        )


def _after_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match else start


def _all_of(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return lambda look: np.logical_and.reduce([part(look) for part in parts])


def _holds(comparison: Comparison) -> Predicate:
    def predicate(look: Callable[[str], Column]) -> Mask:
        column = look(comparison.name)
        if isinstance(column, np.ndarray):
            return _numbers_hold(comparison, column)
        held = (value is not None and comparison.holds(value) for value in column)
        return np.fromiter(held, np.bool_, len(column))

    return predicate


def _numbers_hold(comparison: Comparison, numbers: Floats) -> Mask:
    """`Comparison.holds` of each number; false for NaN, which is none."""
    numeric = [x for x in comparison.literals if isinstance(x, float)]
    if comparison.symbol in _ORDER:
        held = _ORDER[comparison.symbol](numbers, numeric[0])
    else:
        held = np.isin(numbers, numeric) == (comparison.symbol in ("==", "in"))
    mask: Mask = held & ~np.isnan(numbers)
    return mask
