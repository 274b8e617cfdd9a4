"""A search space: which parameters may vary, over what, and when each is active."""

import hashlib
import json
import keyword
import random
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from search_spaces.condition_problems import condition_problems
from search_spaces.conditions import (
    Comparison,
    Condition,
    Part,
    comparisons_in,
    is_told,
    remainder,
)
from search_spaces.domains import Choice, Domain, Value
from search_spaces.errors import Problem, SpaceError, did_you_mean, shown

MAX_PARAMETERS = 200

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# The undecided rest of the conditions of later parameters; a boolean once decided.
_Rests = frozenset[tuple[str, Part | bool]]


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """Domains of named parameters, some of them active only under a condition.

    Attributes:
        domains: The domain of each parameter, in the order written.
        conditions: The condition under which a parameter is active; without one it always is.
        name: What messages call the space; not part of its fingerprint.
        names: All parameters, each after those that its condition mentions.

    Raises:
        SpaceError: Names are no identifiers, or conditions mention missing parameters or
            impossible values, or run in circles.
    """

    domains: Mapping[str, Domain]
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    name: str = "space"
    names: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "domains", dict(self.domains))
        object.__setattr__(self, "conditions", dict(self.conditions))
        found = [("", count_problem(len(self.domains)))]
        found += [(name, name_problem(name)) for name in self.domains]
        found += [
            (name, f"There is a condition for {shown(name)}, which has no domain.")
            for name in self.conditions
            if name not in self.domains
        ]
        found += condition_problems(self.domains, self.conditions)
        problems = [Problem(message, where=name) for name, message in found if message]
        if problems:
            raise SpaceError(problems)
        object.__setattr__(self, "names", self._parents_first(self.domains))

    def active(self, params: Mapping[str, Value]) -> tuple[str, ...]:
        """Return the parameters that are active under `params`, parents first.

        Args:
            params: Values of some parameters. A parameter without a value is active if its own
                condition holds, and those that depend on it are not; so the result shows, step
                by step, which value to choose next.
        """
        values: dict[str, Value] = {}
        found = []
        for name in self.names:
            condition = self.conditions.get(name)
            if condition is None or condition.holds(values):
                found.append(name)
                if name in params:
                    values[name] = params[name]
        return tuple(found)

    def check(self, params: Mapping[str, Value]) -> None:
        """Check that `params` are exactly the active parameters, each within its domain.

        Raises:
            SpaceError: Every parameter that is unknown, missing, inactive or out of its domain.
        """
        problems = [
            Problem(f"Unknown parameter {shown(name)}.{did_you_mean(str(name), self.names)}")
            for name in params
            if name not in self.domains
        ]
        active, undecided = set(self.active(params)), set[str]()
        for name in self.names:
            condition = self.conditions.get(name)
            if condition is not None and not undecided.isdisjoint(condition.names):
                undecided.add(name)  # reported for its parent only
                continue
            message = self._complaint(name, params, is_active=name in active)
            if message:
                undecided.add(name)
                problems.append(Problem(message, where=name))
        if problems:
            raise SpaceError(problems)

    def _complaint(self, name: str, params: Mapping[str, Value], *, is_active: bool) -> str:
        domain = self.domains[name]
        if not is_active:
            needs = f"is not active here: it needs {self.conditions.get(name)}. Leave it out."
            return f"Parameter {name!r} {needs}" if name in params else ""
        if name not in params:
            return f"Parameter {name!r} is missing; it is {domain}."
        if not domain.contains(params[name]):
            return f"Parameter {name!r} is {shown(params[name])}, but needs to be {domain}."
        return ""

    def canonical(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """Return the canonical form of a configuration: active parameters only, parents first.

        Two mappings that mean the same configuration give the same result: values of inactive
        parameters are dropped, and floats are floats, on their grid where there is one.

        Raises:
            SpaceError: As `check`, except that inactive parameters are allowed.
        """
        active = self.active(params)
        idle = self.domains.keys() - set(active)
        self.check({name: value for name, value in params.items() if name not in idle})
        return {name: self.domains[name].canonical(params[name]) for name in active}

    @property
    def size(self) -> int | None:
        """Number of distinct configurations; None if one of them has a continuous parameter.

        Counts parameter by parameter. Values that no condition distinguishes are counted as one
        group, so large ranges cost nothing; the state is the undecided rest of the conditions of
        later parameters, so only conditions that cross many others take long.
        """
        ways: dict[_Rests, int] = {frozenset(): 1}
        # Each conditional parameter right after its parents keeps the state small.
        for name in self._parents_first([*self.conditions, *self.domains]):
            following: dict[_Rests, int] = defaultdict(int)
            for rests, count in ways.items():
                outcomes = self._outcomes(name, dict(rests))
                if outcomes is None:
                    return None
                for left, values in outcomes.items():
                    following[left] += count * values
            ways = following
        return sum(ways.values())

    def _outcomes(self, name: str, rests: dict[str, Part | bool]) -> dict[_Rests, int] | None:
        """Count the values of a parameter by what remains of the others' conditions.

        Args:
            name: The parameter.
            rests: What the parameters before it left, for later parameters that depend on them.
        """
        is_active = rests.pop(name, True) is True
        touched: dict[str, Part] = {}
        for child, condition in self.conditions.items():
            rest = rests.get(child, condition)
            if not isinstance(rest, bool) and _about(rest, name):
                touched[child] = rest
        values: Iterable[tuple[Value | None, int]] = [(None, 1)]
        if is_active:
            domain = self.domains[name]
            if domain.size is None:
                return None
            values = _groups(domain, [e for rest in touched.values() for e in _about(rest, name)])
        counts: dict[_Rests, int] = defaultdict(int)
        for value, count in values:
            counts[
                frozenset((child, _told(rest, name, value)) for child, rest in touched.items())
            ] += count
        kept = frozenset((child, rest) for child, rest in rests.items() if child not in touched)
        return {kept | left: count for left, count in counts.items()}

    def grid(self) -> Iterator[dict[str, Value]]:
        """Yield every configuration once, lazily; the last parameter changes fastest.

        Raises:
            ValueError: A configuration has a continuous parameter.
        """
        if self.size is None:
            endless = [name for name in self.names if self.domains[name].size is None]
            raise ValueError(
                f"Space {self.name!r} has no finite grid: {', '.join(endless)} can be any number "
                f"in a range. Give a step, or list choices."
            )
        return self._grid_from(0, {})

    def _grid_from(self, index: int, chosen: dict[str, Value]) -> Iterator[dict[str, Value]]:
        if index == len(self.names):
            yield chosen
            return
        name = self.names[index]
        condition = self.conditions.get(name)
        if condition is not None and not condition.holds(chosen):
            yield from self._grid_from(index + 1, chosen)
            return
        for value in self.domains[name].values():
            yield from self._grid_from(index + 1, {**chosen, name: value})

    def sample(self, rng: random.Random) -> dict[str, Value]:
        """Draw a configuration: each active parameter independently, parents first."""
        chosen: dict[str, Value] = {}
        for name in self.names:
            condition = self.conditions.get(name)
            if condition is None or condition.holds(chosen):
                chosen[name] = self.domains[name].sample(rng)
        return chosen

    def fingerprint(self) -> str:
        """Compute the SHA-256 (hex) of the space's meaning.

        The name, the order of the parameters and spelled-out defaults do not change it.
        """
        text = json.dumps(self.as_mapping(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def as_mapping(self) -> dict[str, dict[str, object]]:
        """Return the form in YAML, which `parse_space` reads back into an equal space."""
        mapping = {name: domain.as_mapping() for name, domain in self.domains.items()}
        for name, condition in self.conditions.items():
            mapping[name]["when"] = str(condition)
        return mapping

    def _parents_first(self, wanted: Iterable[str]) -> tuple[str, ...]:
        ordered: dict[str, None] = {}

        def place(name: str) -> None:
            if name in self.conditions and name not in ordered:
                for parent in self.conditions[name].names:
                    place(parent)
            ordered.setdefault(name)

        for name in wanted:
            place(name)
        return tuple(ordered)


def count_problem(parameters: int) -> str:
    """Explain why a space cannot have this many parameters; empty if it can.

    >>> count_problem(3), count_problem(0)
    ('', 'A space has 1 to 200 parameters, this one has 0.')
    """
    if 1 <= parameters <= MAX_PARAMETERS:
        return ""
    return f"A space has 1 to {MAX_PARAMETERS} parameters, this one has {parameters}."


def name_problem(name: str) -> str:
    """Explain why conditions and queries could not use this name; empty if they can.

    >>> name_problem("bits_1")
    ''
    >>> name_problem("learning-rate").partition(":")[0]
    "'learning-rate' cannot name a parameter"
    """
    if _NAME.fullmatch(name) and not keyword.iskeyword(name) and name not in ("true", "false"):
        return ""
    return (
        f"{shown(name)} cannot name a parameter: use at most 64 letters, digits and underscores, "
        f"no digit first, and no word of Python."
    )


def _about(part: Part, name: str) -> list[Comparison]:
    """Return the comparisons of a condition that concern one parameter."""
    return [each for each, _ in comparisons_in(part) if each.name == name]


def _told(part: Part, name: str, value: Value | None) -> Part | bool:
    """Simplify a condition, given the value of one parameter (None if it is inactive)."""
    params = {} if value is None else {name: value}
    return remainder(
        part,
        lambda each, wanted: is_told(each, params, wanted=wanted) if each.name == name else None,
    )


def _groups(domain: Domain, tests: Iterable[Comparison]) -> Iterator[tuple[Value, int]]:
    """Split a finite domain where a comparison may change: yields one value a group, its size."""
    size = domain.size or 0
    if isinstance(domain, Choice):
        yield from ((value, 1) for value in domain.values())
        return
    numbers = [n for test in tests for n in test.literals if isinstance(n, int | float)]
    indices, key = range(size), domain.at
    bounds = {0, size}
    for number in numbers:
        bounds |= {bisect(indices, number, key=key) for bisect in (bisect_left, bisect_right)}
    edges = sorted(bounds)
    for start, end in pairwise(edges):
        yield key(start), end - start
