"""Checks that a space samples heads that can be built: a sizing rule and its parameters."""

from collections.abc import Iterator, Mapping

from search_spaces import Choice, Comparison, SearchSpace, Value
from search_spaces.conditions import remainder
from trainers.parameters import MAX_HIDDEN_LAYERS

_RULE = "fc_rule"
_WIDTHS = tuple(f"fc_width_{number}" for number in range(1, MAX_HIDDEN_LAYERS + 1))
# The one rule that each of these parameters belongs to.
_BELONGS = dict.fromkeys(("fc_layers", *_WIDTHS), "explicit") | {"fc_fraction": "fraction"}


def head_problems(space: SearchSpace, head: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Find rules that lack a parameter, and parameters that a rule does not use.

    Args:
        space: The search space.
        head: The head that all trials share, as in a sweep file.

    Yields:
        The wrong parameter, and a sentence.

    >>> from search_spaces import load_space
    >>> space = load_space({"fc_fraction": {"type": "float", "low": 0.1, "high": 1}})
    >>> [name for name, _ in head_problems(space, {"rule": "fraction"})]
    []
    >>> [name for name, _ in head_problems(space, {"rule": "sqrt"})]
    ['fc_fraction']
    """
    if _RULE not in space.domains:
        fixed = head.get("rule") == "fraction" and not set(_WIDTHS) & set(space.domains)
        if "fc_fraction" in space.domains and not fixed:
            yield (
                "fc_fraction",
                "fc_fraction is for heads by the rule 'fraction': write 'head: {rule: fraction, "
                "fraction: 0.5}', and no widths, or sample fc_rule.",
            )
        return
    domain = space.domains[_RULE]
    rules = tuple(domain.values()) if isinstance(domain, Choice) else ()
    for name, owner in _BELONGS.items():
        wrong = [str(r) for r in rules if r != owner and _is_sampled(space, name, r)]
        if wrong:
            yield (
                name,
                f"{name} would be sampled for fc_rule {', '.join(wrong)} too, where it means "
                f"nothing: add \"when: fc_rule == '{owner}'\".",
            )
    needs = {"explicit": ("fc_width_1", "widths"), "fraction": ("fc_fraction", "fraction")}
    for rule, (name, key) in needs.items():
        if rule in rules and head.get(key) is None and not _is_sampled(space, name, rule):
            yield (
                _RULE,
                f"fc_rule can be {rule!r}, for which {name} is missing: add it to the space with "
                f"\"when: fc_rule == '{rule}'\", or give head.{key}.",
            )


def _is_sampled(space: SearchSpace, name: str, rule: Value) -> bool:
    """Return whether a parameter can be active under a rule, for some values of the others."""
    if name not in space.domains:
        return False
    condition = space.conditions.get(name)

    def can_be(comparison: Comparison, wanted: bool) -> bool:  # noqa: FBT001
        if comparison.name == _RULE:
            return comparison.holds(rule) is wanted
        return _is_sampled(space, comparison.name, rule)

    return condition is None or remainder(condition, can_be) is True
