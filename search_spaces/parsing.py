"""The YAML form of a search space, with every problem and its line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.condition_problems import condition_problems
from search_spaces.conditions import Condition
from search_spaces.domains import Choice, Domain, Float, Int, is_finite_number, is_whole
from search_spaces.errors import Problem, SpaceError, shown, unknown
from search_spaces.library import library_path
from search_spaces.space import SearchSpace, count_problem, name_problem
from search_spaces.yaml_files import Document, dotted, read_yaml

# What a key needs to be, in words and as a test.
_Need = tuple[str, Callable[[object], bool]]
_WHOLE: _Need = ("a whole number", is_whole)
_NUMBER: _Need = ("a finite number", is_finite_number)
_FLAG: _Need = ("true or false", lambda value: isinstance(value, bool))
_LIST: _Need = ("a list", lambda value: isinstance(value, list | tuple))


@dataclass(frozen=True, slots=True)
class _Form:
    build: Callable[..., Domain]
    required: Mapping[str, _Need]
    optional: Mapping[str, _Need]


_FORMS = {
    "int": _Form(Int, {"low": _WHOLE, "high": _WHOLE}, {"step": _WHOLE, "log": _FLAG}),
    "float": _Form(Float, {"low": _NUMBER, "high": _NUMBER}, {"step": _NUMBER, "log": _FLAG}),
    "choice": _Form(
        lambda values, ordered=False: Choice(tuple(values), ordered=ordered),
        {"values": _LIST},
        {"ordered": _FLAG},
    ),
}


def load_space(source: str | Path | Mapping[str, Any]) -> SearchSpace:
    """Load a search space.

    Args:
        source: A name in the library, such as `fc_quant`; a path, as a `Path` or as text that
            ends in .yaml or .yml or has a slash; or the mapping itself.

    Raises:
        SpaceError: The name is unknown, or the space is wrong; all problems, with lines.
        FileProblems: The file cannot be read as YAML.

    >>> load_space("smoke").names
    ('fc_width_1', 'bits')
    >>> load_space({"bits": {"type": "choice", "values": [4, 8]}}).size
    2
    """
    if isinstance(source, Mapping):
        return parse_space(source)
    text = str(source)
    is_path = isinstance(source, Path) or text.endswith((".yaml", ".yml"))
    path = Path(source) if is_path or "/" in text or "\\" in text else library_path(text)
    document = read_yaml(path)
    return parse_space(document.data, document=document, name=path.stem)


def parse_space(
    data: object,
    *,
    document: Document | None = None,
    path: tuple[str | int, ...] = (),
    name: str = "space",
) -> SearchSpace:
    """Read a search space from its plain form: parameter name to domain.

    Args:
        data: A mapping that gives for each parameter a mapping with `type` (int, float or
            choice), the keys of that type, and perhaps `when`.
        document: The file that `data` comes from, for lines in messages.
        path: The place of `data` in that file, for example ``("space",)``.
        name: What messages call the space.

    Raises:
        SpaceError: All problems, each with its place.

    >>> parse_space({"bits": {"type": "int", "low": 8}})
    Traceback (most recent call last):
    search_spaces.errors.SpaceError: bits: Key 'high' is missing; it needs to be a whole number.
    """
    parser = _Parser(document, path)
    if not isinstance(data, Mapping):
        parser.complain(f"A space maps parameter names to domains, got {shown(data)}.")
        raise SpaceError(parser.problems)
    parser.space(data)
    if parser.problems:
        raise SpaceError(parser.problems)
    return SearchSpace(parser.domains, parser.conditions, name=name)


@dataclass
class _Parser:
    """Domains and conditions read so far, and what was wrong."""

    document: Document | None
    path: tuple[str | int, ...]
    problems: list[Problem] = field(default_factory=list)
    domains: dict[str, Domain] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)

    def complain(self, message: str, *path: str | int) -> None:
        place = (*self.path, *path)
        if self.document is None:
            self.problems.append(Problem(message, dotted(place)))
        else:
            self.problems.append(self.document.problem(message, *place))

    def space(self, data: Mapping[object, object]) -> None:
        if message := count_problem(len(data)):
            self.complain(message)
            return
        for name, form in data.items():
            if isinstance(name, str):
                self.parameter(name, form)
            else:
                self.complain(f"Parameter names are text, got {shown(name)}.")
        # Report no consequences of a domain that could not be read.
        broken = data.keys() - self.domains.keys()
        conditions = {
            name: condition
            for name, condition in self.conditions.items()
            if broken.isdisjoint(condition.names)
        }
        for name, message in condition_problems(self.domains, conditions):
            self.complain(message, name, "when")

    def parameter(self, name: str, form: object) -> None:
        if message := name_problem(name):
            self.complain(message, name)
        if not isinstance(form, Mapping):
            example = "{type: int, low: 1, high: 8}"
            self.complain(f"A domain is a mapping such as {example}, got {shown(form)}.", name)
            return
        self.domain(name, form)
        if "when" in form:
            try:
                condition = Condition.parse(form["when"])
                # Stores keep the canonical form, which may be longer than the limit.
                self.conditions[name] = Condition.parse(str(condition))
            except ValueError as error:
                self.complain(str(error), name, "when")

    def domain(self, name: str, form: Mapping[object, object]) -> None:
        kind = form.get("type")
        if "type" not in form:
            self.complain(f"Key 'type' is missing. Known: {', '.join(_FORMS)}.", name)
        elif not isinstance(kind, str) or kind not in _FORMS:
            self.complain(unknown("type", str(kind), _FORMS), name, "type")
        elif self.keys(name, form, _FORMS[kind]):
            fields = {str(key): form[key] for key in form if key not in ("type", "when")}
            try:
                self.domains[name] = _FORMS[kind].build(**fields)
            except ValueError as error:
                self.complain(str(error), name)

    def keys(self, name: str, form: Mapping[object, object], expected: _Form) -> bool:
        """Report unknown, missing and mistyped keys; return whether there were none."""
        before = len(self.problems)
        needs = {**expected.required, **expected.optional}
        known = ("type", *needs, "when")
        for key, value in form.items():
            if key not in known:
                self.complain(unknown("key", str(key), known), name, str(key))
            elif isinstance(key, str) and key in needs and not needs[key][1](value):
                needed = f"but needs to be {needs[key][0]}"
                self.complain(f"{key} is {shown(value)}, {needed}.", name, key)
        for key in expected.required:
            if key not in form:
                message = f"Key {key!r} is missing; it needs to be {needs[key][0]}."
                self.complain(message, name)
        return len(self.problems) == before
