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

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.errors import UsageError
from orchestrator.trials import Value
from orchestrator.units import QUANTITY, parse_quantity
from search_spaces import Comparison

MAX_CHARACTERS = 1_000
MAX_DEPTH = 50

Row = Mapping[str, Value]
Predicate = Callable[[Row], bool]

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


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on one row of names and values.

    Attributes:
        text: The condition as written.
        names: What it mentions, each once, in the order written. Whether they exist is for the
            caller to check, who knows the trials.
        keep: Whether a row fulfills it. A comparison is false where its name is missing from the
            row, and where text is compared with a number.
    """

    text: str
    names: tuple[str, ...]
    keep: Predicate

    @classmethod
    def parse(cls, text: str) -> "Filter":
        """Read a condition such as ``bits <= 4 and backbone == 'vgg16'``.

        Raises:
            UsageError: The text does not follow the grammar; the sentence says where.
        """
        parser = _Parser(text)
        predicate = parser.whole()
        return cls(text, tuple(dict.fromkeys(parser.names)), predicate)


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
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

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
                return lambda row: not inner(row)
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
    return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)


def _holds(comparison: Comparison) -> Predicate:
    name = comparison.name

    def predicate(row: Row) -> bool:
        return name in row and comparison.holds(row[name])

    return predicate
