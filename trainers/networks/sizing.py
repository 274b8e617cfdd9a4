"""Widths of fully connected layers from simple rules, before anything is trained.

Marrone, Papa and Sansone ("Effects of hidden layer sizing on CNN fine-tuning", Future Generation
Computer Systems 118, 2021) size the hidden layers of a head by two simple and popular rules. Which
two is not known to this project; these are candidates. With n inputs, m classes, and a reference
head of k hidden layers of widths F_1 ... F_k:

- ``full``: F_i, the reference itself.
- ``pyramid``: m r^(k + 1 - i) with r = (n / m)^(1 / (k + 1)), so that from inputs to classes each
  layer is r times smaller than the one before (Masters, Practical Neural Network Recipes in C++,
  1993).
- ``sqrt``: one hidden layer of sqrt(n m), the pyramid of a single layer.
- ``two_thirds``: two thirds of the preceding width, and m (a rule of thumb of Heaton's, for a
  single layer). For n = 9216 inputs and 10 classes that is 6154, more than the 4096 of AlexNet:
  the rule would enlarge the first layer, and only the bound below prevents that.
- ``halving``: half of the preceding width.
- ``fraction``: a given share of every F_i.
- ``explicit``: widths as given.

A rule never gives layer i more than F_i, nor less than 1. In between, widths are rounded to the
nearest whole number, halves up; the next layer's preceding width is the rounded one.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Widths = tuple[int, ...]

SMALLEST_FRACTION = 1e-3
MAX_HIDDEN_LAYERS = 3


def hidden_widths(
    rule: str | None,
    *,
    n_features: int,
    classes: int,
    reference: Sequence[int],
    fraction: float | None = None,
    widths: Sequence[int] | None = None,
) -> Widths:
    """Compute the hidden widths that a rule gives.

    >>> hidden_widths("halving", n_features=576, classes=10, reference=(256, 128))
    (256, 128)
    >>> hidden_widths("fraction", n_features=576, classes=10, reference=(256, 128), fraction=0.25)
    (64, 32)

    Args:
        rule: One of `RULES`; None is ``explicit`` where widths are given, else ``full``.
        n_features: Inputs of the head, at least 1.
        classes: Outputs of the head, at least 1.
        reference: Hidden widths of the full-size head, at least one.
        fraction: For ``fraction`` alone; from `SMALLEST_FRACTION` to 1.
        widths: For ``explicit`` alone; not bounded by the reference.

    Raises:
        ValueError: There is no such rule, a number is out of range, an argument that the rule
            needs is missing, or one that it does not take is given.
    """
    check_rule(rule, fraction, widths)
    if widths is not None:
        return tuple(widths)
    if min(n_features, classes, *reference) < 1 or not reference:
        raise ValueError(
            f"A head of {n_features} inputs, hidden widths {tuple(reference)} and {classes} "
            f"classes cannot be sized: each must be at least 1, with one hidden layer or more."
        )
    if rule == "fraction":
        return tuple(_within(width * (fraction or 1.0), width) for width in reference)
    return _RULES[rule or "full"](n_features, classes, tuple(reference))


def check_rule(rule: str | None, fraction: float | None, widths: Sequence[int] | None) -> None:
    """Reject a rule that is unknown, or whose arguments are missing or superfluous.

    Raises:
        ValueError: As `hidden_widths`.

    >>> check_rule("fraction", 0.5, None)
    >>> check_rule("explicit", None, None)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: The sizing rule 'explicit' needs the widths of the hidden layers, ...
    """
    rule = rule or ("full" if widths is None else "explicit")
    if rule not in RULES:
        raise ValueError(f"There is no sizing rule {rule!r}. Known: {', '.join(RULES)}.")
    if rule == "explicit" and widths is None:
        raise ValueError(
            "The sizing rule 'explicit' needs the widths of the hidden layers, and none are given."
        )
    if rule != "explicit" and widths is not None:
        raise ValueError(
            f"The sizing rule {rule!r} decides the widths, but widths {tuple(widths)} are given "
            f"too: leave them out, or use the rule 'explicit'."
        )
    if rule == "fraction" and (fraction is None or not SMALLEST_FRACTION <= fraction <= 1):
        raise ValueError(
            f"The sizing rule 'fraction' needs a fraction of the full widths, from "
            f"{SMALLEST_FRACTION:g} to 1, 0.25 for example; given: {fraction}."
        )
    if rule != "fraction" and fraction is not None:
        raise ValueError(
            f"A fraction ({fraction}) is given, but the sizing rule is {rule!r}: leave it out, or "
            f"use the rule 'fraction'."
        )


def _full(_n: int, _m: int, reference: Widths) -> Widths:
    return reference


def _pyramid(n: int, m: int, reference: Widths) -> Widths:
    steps = len(reference) + 1
    return tuple(
        # n^(left/steps) m^(i/steps) is m r^left, without the rounding of r.
        _within(n ** ((steps - i) / steps) * m ** (i / steps), bound)
        for i, bound in enumerate(reference, start=1)
    )


def _sqrt(n: int, m: int, reference: Widths) -> Widths:
    return (_within(math.sqrt(n * m), reference[0]),)


def _two_thirds(n: int, m: int, reference: Widths) -> Widths:
    return _chained(n, reference, lambda before: 2 * before / 3 + m)


def _halving(n: int, _m: int, reference: Widths) -> Widths:
    return _chained(n, reference, lambda before: before / 2)


def _chained(n: int, reference: Widths, width: Callable[[int], float]) -> Widths:
    """Each width from the one before it."""
    widths = [n]
    for bound in reference:
        widths.append(_within(width(widths[-1]), bound))
    return tuple(widths[1:])


def _within(width: float, bound: int) -> int:
    return max(1, min(math.floor(width + 0.5), bound))


_RULES: Mapping[str, Callable[[int, int, Widths], Widths]] = {
    "full": _full,
    "pyramid": _pyramid,
    "sqrt": _sqrt,
    "two_thirds": _two_thirds,
    "halving": _halving,
}
RULES = (*_RULES, "fraction", "explicit")
"""Names of the rules, as in a sweep file."""


def sampled_head(
    params: Mapping[str, Any], *, widths: tuple[int, ...] | None, fraction: float | None
) -> dict[str, Any]:
    """Return the fields of `TrialConfig` that decide the head, from what was sampled.

    >>> sampled_head({"fc_layers": 1, "fc_width_1": 16}, widths=None, fraction=None)
    {'widths': (16,), 'fc_rule': None, 'fc_fraction': None}

    Args:
        params: The sampled parameters; others than those of the head are not looked at.
        widths: Widths of the head that all trials share.
        fraction: Fraction of the rule that all trials share.

    Raises:
        ValueError: A width is missing.
    """
    given = _sampled_widths(params)
    rule, sampled = params.get("fc_rule"), params.get("fc_fraction")
    if rule is None and given is None:
        return {"fc_fraction": fraction if sampled is None else sampled}
    # A sampled rule takes from the fixed head what the space leaves open.
    if rule == "explicit" and given is None:
        given = widths
    if rule == "fraction" and sampled is None:
        sampled = fraction
    return {"widths": given, "fc_rule": rule, "fc_fraction": sampled}


def _sampled_widths(params: Mapping[str, Any]) -> tuple[int, ...] | None:
    names = [f"fc_width_{number}" for number in range(1, MAX_HIDDEN_LAYERS + 1)]
    given = [name for name in names if name in params]
    if not given and "fc_layers" not in params:
        return None
    layers = int(params.get("fc_layers", len(given)))
    missing = [name for name in names[:layers] if name not in params]
    if missing:
        raise ValueError(
            f"fc_layers is {layers}, but {', '.join(missing)} is not given: a head of {layers} "
            f"hidden layers needs {', '.join(names[:layers])} in the search space."
        )
    return tuple(int(params[name]) for name in names[:layers])
