"""The words of a condition: names, symbols, and literals with what they mean."""

import ast
import re
import warnings
from dataclasses import dataclass

from search_spaces.domains import Value, is_whole
from search_spaces.errors import shown
from search_spaces.quantities import BYTE_UNITS, QUANTITY, parse_quantity

MAX_CHARACTERS = 1_000

_EXAMPLE = "Write for example: bits <= 4 and backbone == 'vgg16'."
_TOKEN = re.compile(
    r"(?P<text>[rRuU]?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"))"
    rf"|(?P<number>{QUANTITY})|(?P<name>[A-Za-z_][\w.]*)"
    r"|(?P<symbol><=|>=|==|!=|[<>()\[\],])",
    re.ASCII,
)
_SPACE = re.compile(r"\s*")
_WHOLE = re.compile(r"[+-]?[\d_]+", re.ASCII)
_TRUTH = {"true": True, "True": True, "false": False, "False": False}


@dataclass(frozen=True, slots=True)
class Token:
    """One word.

    Attributes:
        kind: `name`, `symbol`, `literal`, or `end` after the last one.
        written: As in the text.
        start: Offset in the text, from 0.
        value: The value of a literal; None for the others.
    """

    kind: str
    written: str
    start: int
    value: Value | None = None


def tokens(text: object) -> list[Token]:
    """Split a condition into tokens; the last one is an `end`.

    Raises:
        ValueError: It is not text, is too long, or holds something that is not a token.

    >>> [token.written for token in tokens("bits <= 4")][:3]
    ['bits', '<=', '4']
    """
    if not isinstance(text, str):
        needed = f"text of at most {MAX_CHARACTERS:,} characters"
        raise ValueError(f"A condition is {needed}, got {shown(text)}. {_EXAMPLE}")
    if len(text) > MAX_CHARACTERS:
        raise misread(text, MAX_CHARACTERS, f"it is longer than {MAX_CHARACTERS:,} characters")
    found: list[Token] = []
    start = _after_space(text, 0)
    while start < len(text):
        match = _TOKEN.match(text, start)
        if match is None:
            raise misread(text, start, _meaningless(text[start]))
        found.append(_token(text, start, match.lastgroup or "", match.group()))
        start = _after_space(text, match.end())
    return [*found, Token("end", "", len(text))]


def misread(text: str, at: int, problem: str) -> ValueError:
    """Build the error that says where a condition breaks the grammar, and how to write one.

    >>> str(misread("bits = 4", 5, "write == to compare")).split(": ")[0]
    "The condition 'bits = 4' does not parse at character 6, '= 4'"
    """
    near = text[at : at + 20]
    place = f"at character {at + 1}, {near!r}" if near else "at its end"
    cut = text if len(text) <= 100 else text[:97] + "..."
    return ValueError(f"The condition {cut!r} does not parse {place}: {problem}. {_EXAMPLE}")


def _token(text: str, start: int, kind: str, written: str) -> Token:
    if kind == "number":
        return Token("literal", written, start, _number(written))
    if written in _TRUTH:
        return Token("literal", written, start, _TRUTH[written])
    if kind != "text":
        return Token(kind, written, start)
    if "\\" not in written:
        return Token("literal", written, start, written[written.index(written[-1]) + 1 : -1])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return Token("literal", written, start, str(ast.literal_eval(written)))
    except (SyntaxError, ValueError):
        problem = r"a backslash begins an escape, as in Python: write \\ for the character itself"
        raise misread(text, start, problem) from None


def _number(written: str) -> int | float:
    """Parse a number; whole numbers and bytes become integers if a double holds them."""
    if _WHOLE.fullmatch(written) and is_whole(whole := int(written)):
        return whole
    number = parse_quantity(written)
    is_bytes = written.endswith(tuple(BYTE_UNITS))
    return int(number) if is_bytes and number.is_integer() and is_whole(int(number)) else number


def _after_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match else start


def _meaningless(character: str) -> str:
    if character == "=":
        return "write == to compare"
    return "this quote is not closed" if character in "'\"" else "this has no meaning here"
