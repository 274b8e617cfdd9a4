"""Problems of the conditions of a space."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from search_spaces.conditions import ORDER, Comparison, Condition, Not, comparisons_in
from search_spaces.domains import Choice, Domain
from search_spaces.errors import did_you_mean, shown


def condition_problems(
    domains: Mapping[str, Domain], conditions: Mapping[str, Condition]
) -> Iterator[tuple[str, str]]:
    """Find conditions on missing parameters, on impossible values, and cyclic conditions.

    Each branch of an `or` is checked separately: one that can never hold is a mistake, even if
    another can.

    Yields:
        The parameter with the wrong condition, and a sentence.

    >>> domains = {"bits": Choice((4, 8)), "lr": Choice((0.1, 0.01))}
    >>> conditions = {"lr": Condition.parse("bits == 3")}
    >>> list(condition_problems(domains, conditions))
    [('lr', "The condition compares with 3, but 'bits' is one of 4, 8.")]
    """
    for name, condition in conditions.items():
        for comparison, wanted in comparisons_in(condition):
            if comparison.name not in domains:
                message = (
                    f"The condition {shown(str(comparison))} needs parameter "
                    f"{shown(comparison.name)}, which this space does not have."
                )
                yield name, message + did_you_mean(comparison.name, domains)
            else:
                domain = domains[comparison.name]
                yield from ((name, m) for m in _impossible(comparison, domain, wanted=wanted))
    for circle in _circles(conditions):
        chain = " -> ".join(circle)
        yield circle[0], f"Conditions run in a circle: {chain}. Drop one of them."


def _impossible(comparison: Comparison, domain: Domain, *, wanted: bool) -> Iterator[str]:
    """Describe a comparison with values that its parameter never takes.

    Args:
        comparison: The comparison.
        domain: The domain of its parameter.
        wanted: Whether it should hold, or fail, as under `not`.
    """
    takes = f"{comparison.name!r} is {domain}."
    options = tuple(domain.values()) if isinstance(domain, Choice) else ()
    if comparison.symbol in ORDER:
        ends = (domain.low, domain.high) if not isinstance(domain, Choice) else options
        if all(comparison.holds(end) is not wanted for end in ends):
            written = comparison if wanted else Not(comparison)
            yield f"The condition {shown(str(written))} can never hold: {takes}"
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
