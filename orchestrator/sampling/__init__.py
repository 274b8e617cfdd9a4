"""Samplers, which propose the next configuration. `build_sampler` builds one by its name."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.constraints import Constraint, KnownConstraints
from orchestrator.contracts import KnownValues, Sampler, nothing_known
from orchestrator.errors import UnknownNameError, UsageError
from orchestrator.objectives import Objective
from orchestrator.sampling.automatic import automatic
from orchestrator.sampling.setting import Setting
from search_spaces import SearchSpace
from trainers.doors import is_reference

if TYPE_CHECKING:
    from orchestrator.sampling.prior import Prior

OPTUNA_KINDS = ("tpe", "nsga2", "gp", "random")
SAMPLERS = ("auto", *OPTUNA_KINDS, "model", "grid")

__all__ = ["OPTUNA_KINDS", "SAMPLERS", "Setting", "build_sampler", "check_sampler"]


def build_sampler(  # noqa: PLR0913 - what a sampler is built from
    kind: str,
    space: SearchSpace,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    seed: int,
    known: KnownValues = nothing_known,
    *,
    options: Mapping[str, Any] | None = None,
    prior: "Prior | None" = None,
    per_second: bool = False,
) -> Sampler:
    """Build the sampler named in `SAMPLERS`, or by code of a user's own.

    What is `known` to violate a constraint is refused.

    Args:
        kind: A name, or a resolved reference (`trainers.doors`).
        space: What may be proposed.
        objectives: At least one.
        constraints: Limits on values.
        seed: Of all that is random.
        known: What is known of a configuration before training.
        options: Of Optuna's sampler, or arguments of the user's own function.
        prior: Which values of parameters to try first; a grid, which tries everything, the model
            and code of a user's own have no use for it.
        per_second: Whether time limits the sweep, so that the model prefers what gains most by the
            second. The others do not look at what trials take.

    Raises:
        UnknownNameError: There is no such sampler.
        UsageError: A grid of a space that has none, an option that the sampler does not take, or
            code that is missing or builds no sampler.

    >>> from search_spaces import load_space
    >>> type(build_sampler("grid", load_space("smoke"), (), (), seed=0)).__name__
    'GridSampler'
    >>> build_sampler("tpa", load_space("smoke"), (), (), seed=0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    orchestrator.errors.UnknownNameError: Unknown sampler 'tpa'. Known: auto, gp, grid, ...
    """
    setting = Setting(space, objectives, constraints, seed, known)
    if is_reference(kind):
        from orchestrator.sampling.own_sampler import made_by

        return made_by(kind, setting, options or {})
    if kind in OPTUNA_KINDS:
        return _of_optuna(kind, setting, options or {}, prior)
    if kind not in SAMPLERS:
        raise UnknownNameError("sampler", kind, SAMPLERS)
    refuse_options(kind, options)
    if kind == "auto":
        kind = automatic(space, has_prior=prior is not None)
    if kind == "tpe":
        return _of_optuna(kind, setting, {}, prior)
    return _grid(setting) if kind == "grid" else _model(setting, per_second=per_second)


def _grid(setting: Setting) -> Sampler:
    from orchestrator.sampling.grid_sampler import GridSampler

    limits = KnownConstraints(setting.constraints, setting.known)
    return GridSampler(setting.space, seed=setting.seed, known_constraints=limits)


def _model(setting: Setting, *, per_second: bool) -> Sampler:
    from orchestrator.sampling.model_sampler import ModelSampler

    return ModelSampler(
        setting.space,
        setting.objectives,
        setting.constraints,
        seed=setting.seed,
        known=setting.known,
        per_second=per_second,
    )


def _of_optuna(
    kind: str, setting: Setting, options: Mapping[str, Any], prior: "Prior | None"
) -> Sampler:
    # Imported where they are chosen: Optuna takes a second, which `paretune list` need not wait.
    from orchestrator.sampling.kinds import with_options
    from orchestrator.sampling.optuna_sampler import OptunaSampler

    return OptunaSampler(
        setting.space,
        setting.objectives,
        setting.constraints,
        seed=setting.seed,
        kind=with_options(kind, options),
        known=setting.known,
        prior=prior,
    )


def check_sampler(kind: str, space: SearchSpace, options: Mapping[str, Any] | None = None) -> None:
    """Refuse a sampler that cannot propose from a space, before anything is loaded for it.

    Args:
        kind: As `build_sampler` takes it.
        space: What is to be proposed.
        options: The same. Those of code of a user's own are seen when it is called.

    Raises:
        UsageError: A grid of a space that has none, or an option that the sampler does not take.

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
    if kind in SAMPLERS and kind not in OPTUNA_KINDS:
        refuse_options(kind, options)
    elif options and kind in OPTUNA_KINDS:
        from orchestrator.sampling.kinds import with_options

        with_options(kind, options)


def refuse_options(kind: str, options: Mapping[str, Any] | None) -> None:
    """Refuse options of a sampler that takes none.

    >>> refuse_options("grid", {"seed": 1})
    Traceback (most recent call last):
    orchestrator.errors.UsageError: The sampler grid takes no options: leave seed out.

    Raises:
        UsageError: There are some.
    """
    if options:
        raise UsageError(f"The sampler {kind} takes no options: leave {', '.join(options)} out.")
