"""Depths and widths of backbones that a sweep asks for: which, and whether there are such."""

from collections.abc import Iterator, Mapping
from itertools import product

from search_spaces import Choice, Int, SearchSpace, Value
from trainers.config import TrialConfig, with_params

_CUTTING = ("backbone", "depth", "width_multiplier")


def architectures(fixed: TrialConfig, space: SearchSpace) -> tuple[str, ...]:
    """Name all networks, apart from their heads, that trials of a sweep may train.

    Args:
        fixed: What all trials share.
        space: What they sample; it has no `variant_problem`.

    >>> fixed = TrialConfig(backbone="cifar_resnet20", weights="scratch")
    >>> architectures(fixed, SearchSpace({"depth": Choice((1, 2))}))
    ('cifar_resnet20', 'cifar_resnet20[depth=1]', 'cifar_resnet20[depth=2]')
    """
    found: dict[str, None] = {fixed.architecture: None}
    for params in _combinations(space):
        try:
            found[with_params(fixed, params, seed=0).architecture] = None
        except ValueError:
            # No such network: its trial fails with the reason, which a check tells beforehand.
            continue
    return tuple(found)


def variant_problem(fixed: TrialConfig, space: SearchSpace) -> str:
    """Say why no trial can have some depth or width of a space; empty if there is no problem.

    With several backbones it is a problem only if no combination is possible.

    >>> fixed = TrialConfig(backbone="cifar_resnet20", weights="scratch")
    >>> variant_problem(fixed, SearchSpace({"depth": Choice((1, 2))}))
    ''
    >>> variant_problem(fixed, SearchSpace({"depth": Choice((1, 9))}))
    'depth is 9, but the stages of cifar_resnet20 have 3, 3, 3 blocks...'
    """
    width = space.domains.get("width_multiplier")
    if width is not None and not isinstance(width, Choice):
        return (
            "width_multiplier is sampled from a range, but sizes of networks are looked up before "
            "training, for a list of them: write [0.5, 1, 2, match_params], for example."
        )
    problems, possible = [], 0
    for params in _combinations(space):
        try:
            possible += bool(with_params(fixed, params, seed=0).architecture)
        except ValueError as error:
            problems.append(str(error))
    if problems and ("backbone" not in space.domains or not possible):
        return problems[0]
    return ""


def _combinations(space: SearchSpace) -> Iterator[Mapping[str, Value]]:
    """Every combination of what decides the convolutional part, also if it is conditional."""
    sampled = [name for name in _CUTTING if name in space.domains]
    values: list[list[Value | None]] = []
    for name in sampled:
        domain = space.domains[name]
        given: list[Value] = []
        if isinstance(domain, Choice):
            given = list(domain.values())
        elif isinstance(domain, Int):
            given = list(range(domain.low, domain.high + 1))
        # Inactive where a condition says so: the fixed value counts then.
        values.append([*given, *([None] if name in space.conditions else [])])
    for chosen in product(*values):
        yield {n: v for n, v in zip(sampled, chosen, strict=True) if v is not None}
