"""Samplers, which propose the next configuration. `build_sampler` builds one by its name."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.constraints import Constraint, KnownConstraints
from orchestrator.contracts import KnownValues, Sampler, nothing_known
from orchestrator.errors import UnknownNameError
from orchestrator.objectives import Objective
from search_spaces import SearchSpace

if TYPE_CHECKING:
    from orchestrator.sampling.value_prior import ValuePrior

OPTUNA_KINDS = ("tpe", "nsga2", "gp", "random")
SAMPLERS = (*OPTUNA_KINDS, "grid")

__all__ = ["OPTUNA_KINDS", "SAMPLERS", "build_sampler", "check_sampler"]


def build_sampler(  # noqa: PLR0913 - what a sampler is made of
    kind: str,
    space: SearchSpace,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    seed: int,
    known: KnownValues = nothing_known,
    prior: "ValuePrior | None" = None,
) -> Sampler:
    """Build the sampler named in `SAMPLERS`; what is `known` to violate a constraint is refused.

    A grid, which tries everything, has no use for a `prior`.

    Raises:
        UnknownNameError: There is no such sampler.
        UsageError: A grid of a space that has none.

    >>> from search_spaces import load_space
    >>> type(build_sampler("grid", load_space("smoke"), (), (), seed=0)).__name__
    'GridSampler'
    >>> build_sampler("tpa", load_space("smoke"), (), (), seed=0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.errors.UnknownNameError: Unknown sampler 'tpa'. Known: gp, grid, nsga2, ...
    """
    # Imported where they are chosen: Optuna takes a second, which `paretune list` need not wait.
    if kind == "grid":
        from orchestrator.sampling.grid_sampler import GridSampler

        return GridSampler(
            space, seed=seed, known_constraints=KnownConstraints(constraints, known)
        )
    if kind not in OPTUNA_KINDS:
        raise UnknownNameError("sampler", kind, SAMPLERS)
    from orchestrator.sampling.optuna_sampler import OptunaSampler

    return OptunaSampler(
        space, objectives, constraints, seed=seed, kind=kind, known=known, prior=prior
    )


def check_sampler(kind: str, space: SearchSpace) -> None:
    """Refuse a sampler that cannot propose from a space, before anything is loaded for it.

    Raises:
        UsageError: A grid of a space that has none.

    >>> from search_spaces import load_space
    >>> space = load_space({"lr": {"type": "float", "low": 0.1, "high": 1}})
    >>> check_sampler("random", space)
    >>> check_sampler("grid", space)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.errors.UsageError: A grid needs a finite space, ...
    """
    if kind == "grid":
        from orchestrator.sampling.grid_sampler import check_grid

        check_grid(space)
