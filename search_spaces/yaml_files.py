"""Untrusted YAML files as plain Python values with their line numbers.

The files are read event by event into the values of YAML 1.2's core schema: `1e-4` is a number,
`on` and `no` are text, `2024-01-01` and `8/255` are text. Nothing is expanded before it is
counted, so neither nesting nor aliases can use up memory.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from search_spaces.errors import FileProblems, Problem, shown

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 20_000

_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    text: text.lower() == "true" for text in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Located:
    """The line of a value (from 1), and the lines of the values below it."""

    line: int
    children: Mapping[str | int, "Located"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """The content of one YAML file.

    Attributes:
        data: Dictionaries with text keys, lists, text, integers of at most 64 bits, floats
            (perhaps NaN or infinite), booleans and None. Aliased parts are the same object.
        name: Name of the file, for messages.
        root: Lines of everything in `data`.
    """

    data: dict[str, Any]
    name: str
    root: Located

    def line(self, *path: str | int) -> int | None:
        """Return the line of the key or list item at `path`, or of its nearest known ancestor."""
        located = self.root
        for part in path:
            if part not in located.children:
                break
            located = located.children[part]
        return located.line

    def problem(self, message: str, *path: str | int) -> Problem:
        """Build a problem at `path`, with the file's name and the line."""
        return Problem(message, dotted(path), self.line(*path), self.name)


def dotted(path: tuple[str | int, ...]) -> str:
    """Write a path as in `space.bits.values[2]`.

    >>> dotted(("space", "bits", "values", 2))
    'space.bits.values[2]'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            # A key may hold anything, such as terminal escape codes.
            text += f".{part if part.isprintable() and len(part) < 80 else shown(part)}"
    return text.removeprefix(".")


def read_yaml(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        FileProblems: There is no such file, it is larger than `MAX_BYTES`, is not UTF-8, or
            `parse_yaml` refuses its content.

    >>> read_yaml(Path("absent.yaml"))
    Traceback (most recent call last):
    search_spaces.errors.FileProblems: absent.yaml: There is no file 'absent.yaml'.
    """
    try:
        if path.is_dir() or (path.exists() and not path.is_file()):
            _refuse(path.name, f"{str(path)!r} is not a regular file; name a YAML file.")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        _refuse(path.name, f"There is no file {str(path)!r}.")
    except (OSError, ValueError) as error:
        if isinstance(error, FileProblems):
            raise
        reason = getattr(error, "strerror", None) or error
        _refuse(path.name, f"The file {shown(str(path))} cannot be read: {reason}.")
    if len(content) > MAX_BYTES:
        _refuse(path.name, f"The file is larger than {MAX_BYTES:,} bytes, which no sweep needs.")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = "The file is not UTF-8 text; save it in that encoding."
        raise FileProblems([Problem(message, line=line, file=path.name)]) from None
    return parse_yaml(text, name=path.name)


def parse_yaml(text: str, *, name: str) -> Document:
    """Read YAML text whose top level is a mapping.

    Args:
        text: One YAML document.
        name: What messages call it, usually the name of the file.

    Raises:
        FileProblems: The text does not parse, has duplicate keys, keys that are not text, tags,
            or several documents; aliases are recursive; or it is larger than `MAX_BYTES`,
            deeper than `MAX_DEPTH` or has more than `MAX_NODES` values with aliases expanded.

    >>> document = parse_yaml("budget: {trials: 8}", name="a.yaml")
    >>> document.data, document.line("budget", "trials")
    ({'budget': {'trials': 8}}, 1)
    >>> parse_yaml("{x: 1, x: 2}", name="a.yaml")
    Traceback (most recent call last):
    search_spaces.errors.FileProblems: a.yaml line 1, x: Key 'x' is given twice, first on line 1.
    """
    if len(text) > MAX_BYTES:
        _refuse(name, f"The text is larger than {MAX_BYTES:,} characters, which no sweep needs.")
    builder = _Builder(name)
    try:
        root = builder.build(yaml.parse(text, Loader=yaml.SafeLoader))
    except _Stop:
        root = None
    except yaml.YAMLError as error:
        builder.complain(*_syntax_problem(error, text))
        root = None
    except (ValueError, OverflowError):
        # PyYAML 6.0 passes "\U00110000" and an overlong %YAML version on to chr() and int().
        builder.complain("The text does not parse as YAML: a number in it is out of range.")
        root = None
    if root is None or builder.problems:
        raise FileProblems(builder.problems)
    return Document(root.value, name, root.located)


def _refuse(name: str, message: str) -> NoReturn:
    raise FileProblems([Problem(message, file=name)]) from None


def _syntax_problem(error: yaml.YAMLError, text: str) -> tuple[str, int | None]:
    """Turn a PyYAML error into a sentence and a line."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"Character {text[error.position]!r} cannot stand in a YAML file.", line
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"The text does not parse as YAML: {error}.", None
    mark = error.problem_mark or error.context_mark
    what = ", ".join(filter(None, [error.context, error.problem]))[:300]
    return f"The text does not parse as YAML: {what}.", mark.line + 1 if mark else None


class _Stop(Exception):
    """Reading cannot go on; the reason is among the builder's problems."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A finished value, its lines, and how large it is with aliases expanded."""

    value: Any
    located: Located
    nodes: int = 1
    depth: int = 1


@dataclass
class _Builder:
    """Builds values from YAML events, and collects what is wrong on the way."""

    name: str
    problems: list[Problem] = field(default_factory=list)
    path: list[str | int] = field(default_factory=list)
    anchors: dict[str, _Node | None] = field(default_factory=dict)  # None while it is open
    nodes: int = 0

    def complain(self, message: str, line: int | None = None) -> None:
        self.problems.append(Problem(message, dotted(tuple(self.path)), line, self.name))

    def stop(self, message: str, line: int) -> NoReturn:
        self.complain(message, line)
        raise _Stop

    def build(self, events: Iterator[Any]) -> _Node:
        root: _Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                self.stop("A second document starts here; only one is read.", _line(event))
            if isinstance(event, yaml.NodeEvent):
                root = self.node(event, events)
                if not isinstance(root.value, dict):
                    self.stop("The top level must be a mapping (key: value).", _line(event))
        if root is None:
            self.stop("The file is empty; the top level must be a mapping (key: value).", 1)
        return root

    def node(self, event: Any, events: Iterator[Any]) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        self.limit(event, nodes=1, depth=1)
        if event.tag not in (None, "!"):
            tag = shown(event.tag.replace("tag:yaml.org,2002:", "!!", 1))
            self.complain(f"Tag {tag} is not read. Write the plain value.", _line(event))
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        if isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(event, events)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self.mapping(event, events)
        else:
            node = _Node(self.scalar(event), Located(_line(event)))
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def limit(self, event: Any, *, nodes: int, depth: int) -> None:
        self.nodes += nodes
        if len(self.path) + depth > MAX_DEPTH:
            del self.path[3:]
            self.stop(f"Values are nested more than {MAX_DEPTH} levels deep.", _line(event))
        if self.nodes > MAX_NODES:
            message = f"There are more than {MAX_NODES:,} values, counting every use of an alias."
            self.stop(message, _line(event))

    def alias(self, event: Any) -> _Node:
        if event.anchor not in self.anchors:
            self.stop(f"Alias {shown(event.anchor)} has no anchor above.", _line(event))
        node = self.anchors[event.anchor]
        if node is None:
            self.stop(f"Alias {shown(event.anchor)} stands in its own anchor.", _line(event))
        self.limit(event, nodes=node.nodes, depth=node.depth)
        return node

    def sequence(self, start: Any, events: Iterator[Any]) -> _Node:
        nodes: dict[str | int, _Node] = {}
        lines: dict[str | int, int] = {}
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            index = len(nodes)
            lines[index] = _line(event)
            self.path.append(index)
            nodes[index] = self.node(event, events)
            self.path.pop()
        return _collection([node.value for node in nodes.values()], start, nodes, lines)

    def mapping(self, start: Any, events: Iterator[Any]) -> _Node:
        nodes: dict[str | int, _Node] = {}
        lines: dict[str | int, int] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self.key(event, events)
            self.path.append(key)
            if key in lines:
                message = f"Key {shown(key)} is given twice, first on line {lines[key]}."
                self.complain(message, _line(event))
            lines.setdefault(key, _line(event))
            nodes[key] = self.node(next(events), events)
            self.path.pop()
        value = {key: node.value for key, node in nodes.items()}
        return _collection(value, start, nodes, lines)

    def key(self, event: Any, events: Iterator[Any]) -> str:
        # A key that is itself a collection nests, so it must lengthen the path while it is read.
        self.path.append("?")
        key = self.node(event, events).value
        self.path.pop()
        if isinstance(key, str):
            return key
        if isinstance(key, int) and not isinstance(key, bool):
            # `layers: {1: 8}` is as good as `{"1": 8}`, which is all that JSON can hold.
            return str(key)
        hint = "" if isinstance(key, dict | list) else " Put it in quotes."
        self.complain(f"Key {shown(key)} is not text.{hint}", _line(event))
        return f"{_line(event)}:{event.start_mark.column}"

    def scalar(self, event: Any) -> Any:
        text: str = event.value
        if _UNSTORABLE.search(text):
            self.complain("The text holds a NUL or half a character.", _line(event))
        if event.style is not None or event.tag is not None:
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INT.fullmatch(text):
            return self.integer(text, event)
        if _FLOAT.fullmatch(text):
            return float(text)
        return float(text.replace(".", "")) if _SPECIAL.fullmatch(text) else text

    def integer(self, text: str, event: Any) -> int:
        # Not before the length is known: int() refuses more than 4300 digits with a traceback.
        base = {"0x": 16, "0o": 8}.get(text[:2], 10)
        number = int(text, base) if len(text) <= 100 else 2**64
        if not -(2**63) <= number < 2**63:
            self.complain(f"The number {shown(text)} does not fit in 64 bits.", _line(event))
        return number


def _collection(
    value: Any, start: Any, nodes: Mapping[str | int, _Node], lines: Mapping[str | int, int]
) -> _Node:
    children = {key: Located(lines[key], node.located.children) for key, node in nodes.items()}
    size = 1 + sum(node.nodes for node in nodes.values())
    depth = 1 + max((node.depth for node in nodes.values()), default=0)
    return _Node(value, Located(_line(start), children), size, depth)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
