"""When a parameter is active: `fc_layers >= 2`, `optimizer == 'sgd' and tune != 'head'`."""

import ast
import operator
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Self

from search_spaces.domains import Choice, Domain, Value, is_finite_number
from search_spaces.errors import did_you_mean, shown

MAX_CHARACTERS = 500

_EXAMPLES = "Write for example: fc_layers >= 2, optimizer == 'sgd', bits in [2, 4] and bits != 3."
_SYMBOLS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


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
    literals: tuple[Value, ...]

    def holds(self, value: Value) -> bool:
        """Whether `value` fulfills the comparison; order never holds for text and booleans."""
        if self.symbol in _ORDER:
            literal = self.literals[0]
            return _kind(value) == "number" and _ORDER[self.symbol](value, literal)
        listed = any(_kind(value) == _kind(item) and value == item for item in self.literals)
        return listed == (self.symbol in ("==", "in"))

    def __str__(self) -> str:
        listed = [repr(literal) for literal in self.literals]
        right = f"[{', '.join(listed)}]" if self.symbol.endswith("in") else listed[0]
        return f"{self.name} {self.symbol} {right}"


@dataclass(frozen=True, slots=True)
class Condition:
    """Comparisons that must all hold."""

    comparisons: tuple[Comparison, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read comparisons joined by `and`, each with the parameter on the left.

        The text is parsed and never run; only names, comparisons and literals get through.

        Raises:
            ValueError: The text is anything else, in a sentence that says what.
        """
        if not isinstance(text, str) or len(text) > MAX_CHARACTERS:
            needed = f"text of at most {MAX_CHARACTERS} characters"
            raise ValueError(f"A condition is {needed}, got {shown(text)}. {_EXAMPLES}")
        line = " ".join(text.splitlines()).strip()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                body = ast.parse(line, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(f"Condition {shown(text)} does not parse. {_EXAMPLES}") from None
        if isinstance(body, ast.BoolOp) and isinstance(body.op, ast.And):
            return cls(tuple(_comparison(value, line) for value in body.values))
        return cls((_comparison(body, line),))

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters it mentions, each once, in the order written."""
        return tuple(dict.fromkeys(comparison.name for comparison in self.comparisons))

    def holds(self, params: Mapping[str, Value]) -> bool:
        """Whether every comparison holds; one on a parameter that is not in `params` does not.

        Args:
            params: Values of the active parameters.
        """
        return all(c.name in params and c.holds(params[c.name]) for c in self.comparisons)

    def __str__(self) -> str:
        return " and ".join(map(str, self.comparisons))


def condition_problems(
    domains: Mapping[str, Domain], conditions: Mapping[str, Condition]
) -> Iterator[tuple[str, str]]:
    """Find conditions on missing parameters, on impossible values, and in circles.

    Yields:
        The parameter whose condition is wrong, and a sentence.
    """
    for name, condition in conditions.items():
        for comparison in condition.comparisons:
            if comparison.name not in domains:
                message = (
                    f"The condition {shown(str(comparison))} needs parameter "
                    f"{shown(comparison.name)}, which this space does not have."
                )
                yield name, message + did_you_mean(comparison.name, domains)
            else:
                yield from ((name, m) for m in _impossible(comparison, domains[comparison.name]))
    for circle in _circles(conditions):
        chain = " -> ".join(circle)
        yield circle[0], f"Conditions run in a circle: {chain}. Drop one of them."


def _impossible(comparison: Comparison, domain: Domain) -> Iterator[str]:
    """Say where a comparison is with values its parameter never takes."""
    takes = f"{comparison.name!r} is {domain}."
    options = tuple(domain.values()) if isinstance(domain, Choice) else ()
    if comparison.symbol in _ORDER:
        ends = (domain.low, domain.high) if not isinstance(domain, Choice) else options
        if not any(map(comparison.holds, ends)):
            yield f"The condition {shown(str(comparison))} can never hold: {takes}"
        return
    for literal in comparison.literals:
        if not domain.contains(literal):
            texts = [option for option in options if isinstance(option, str)]
            hint = did_you_mean(literal, texts) if isinstance(literal, str) else ""
            yield f"The condition compares with {shown(literal)}, but {takes}{hint}"


def _circles(conditions: Mapping[str, Condition]) -> Iterator[list[str]]:
    graph = {name: condition.names for name, condition in conditions.items()}
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1]
            yield circle
            del graph[circle[0]]
        else:
            return


def _comparison(node: ast.expr, line: str) -> Comparison:
    """Read one comparison; the whitelist of what a condition may hold."""
    written = shown(ast.get_source_segment(line, node))
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        raise ValueError(
            f"{written} is not one comparison, or several joined by 'and'. {_EXAMPLES}"
        )
    left, right, symbol = node.left, node.comparators[0], _SYMBOLS.get(type(node.ops[0]))
    if not isinstance(left, ast.Name) or symbol is None:
        raise ValueError(f"{written} does not compare a parameter on its left. {_EXAMPLES}")
    if symbol.endswith("in"):
        if not isinstance(right, ast.List | ast.Tuple) or not right.elts:
            raise ValueError(f"{written} needs a list of values in brackets. {_EXAMPLES}")
        return Comparison(left.id, symbol, tuple(_literal(item, line) for item in right.elts))
    literal = _literal(right, line)
    if symbol in _ORDER and _kind(literal) != "number":
        raise ValueError(f"{written} needs a number: only numbers have an order.")
    return Comparison(left.id, symbol, (literal,))


def _literal(node: ast.expr, line: str) -> Value:
    negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    inner = node.operand if isinstance(node, ast.UnaryOp) and negative else node
    if isinstance(inner, ast.Name) and inner.id in ("true", "false") and not negative:
        return inner.id == "true"
    value = inner.value if isinstance(inner, ast.Constant) else None
    if is_finite_number(value) and isinstance(value, int | float):
        return -value if negative else value
    if isinstance(value, bool | str) and not negative:
        return value
    if isinstance(node, ast.Name):
        raise ValueError(f"{node.id!r} stands where a value should: quote text, '{node.id}'.")
    written = shown(ast.get_source_segment(line, node))
    raise ValueError(f"{written} is not a number, quoted text, true or false.")


def _kind(value: object) -> str:
    if isinstance(value, bool | str):
        return "boolean" if isinstance(value, bool) else "text"
    return "number" if isinstance(value, int | float) else "other"
