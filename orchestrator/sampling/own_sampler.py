"""Samplers that a user brings along: of our protocol, or any of Optuna's."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, cast

import optuna

from orchestrator.contracts import Sampler
from orchestrator.errors import UsageError
from orchestrator.sampling.kinds import Kind
from orchestrator.sampling.optuna_logging import bold
from orchestrator.sampling.optuna_sampler import OptunaSampler
from orchestrator.sampling.setting import Setting
from trainers.doors import DoorError, load_reference

_PROTOCOL = ("suggest", "observe", "learn")


def made_by(reference: str, setting: Setting, options: Mapping[str, Any]) -> Sampler:
    """Build a sampler with a function or a class of a user's own.

    It is called with those of the attributes of `Setting` that it has parameters for, by name,
    and with the options.

    Args:
        reference: Resolved.
        setting: What there is to build it from.
        options: Further arguments.

    Raises:
        UsageError: The code is missing, raises, or builds no sampler.

    >>> from orchestrator.objectives import Direction, Objective
    >>> from search_spaces import load_space
    >>> loss = Objective("loss", Direction.MINIMIZE)
    >>> setting = Setting(load_space("smoke"), (loss,), (), seed=0)
    >>> sampler = made_by("optuna.samplers:QMCSampler", setting, {"scramble": True})
    >>> sampler.suggest().params.keys() <= set(setting.space.names)
    True
    """
    try:
        make = load_reference(reference)
    except DoorError as error:
        raise UsageError(f"sampler: {error}") from None
    if not callable(make):
        raise UsageError(
            f"sampler: {reference} is {make!r:.100}; a function or a class that returns a sampler "
            f"is needed."
        )
    brought = _call(reference, make, setting, options)
    remade = make if "seed" in inspect.signature(make).parameters else None
    return adopted(brought, setting, reference, remade, options)


def adopted(
    brought: object,
    setting: Setting,
    name: str = "",
    make: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Sampler:
    """Make a sampler of the protocol of what a user brings along.

    Args:
        brought: One of Optuna's samplers, or of the protocol, which is returned as it is.
        setting: What one of Optuna's is asked for.
        name: For the message; default: its type.
        make: Makes one of Optuna's anew, with another seed before each question, so that a
            resumed sweep asks as an undisturbed one. Without it the same is asked again.
        options: Further arguments of `make`.

    Raises:
        UsageError: It is neither.

    >>> from search_spaces import load_space
    >>> adopted(object(), Setting(load_space("smoke"), (), (), seed=0))
    Traceback (most recent call last):
    orchestrator.errors.UsageError: sampler: object is neither one of Optuna's samplers nor has...
    """
    if isinstance(brought, optuna.samplers.BaseSampler):
        kind = Kind(_remade(brought, name, setting, make, options), asks=5, models_values=True)
        return OptunaSampler(
            setting.space,
            setting.objectives,
            setting.constraints,
            seed=setting.seed,
            kind=kind,
            known=setting.known,
        )
    lacking = [each for each in _PROTOCOL if not callable(getattr(brought, each, None))]
    if lacking:
        raise UsageError(
            f"sampler: {name or type(brought).__name__} is neither one of Optuna's samplers nor "
            f"has what a sampler has: {', '.join(lacking)}. See "
            f"orchestrator.contracts.Sampler."
        )
    return cast(Sampler, brought)


def _remade(
    brought: optuna.samplers.BaseSampler,
    name: str,
    setting: Setting,
    make: Callable[..., Any] | None,
    options: Mapping[str, Any] | None,
) -> Callable[[int, int], optuna.samplers.BaseSampler]:
    def build(seed: int, _: int) -> optuna.samplers.BaseSampler:
        if make is None:
            return brought
        again = Setting(
            setting.space, setting.objectives, setting.constraints, seed, setting.known
        )
        return cast(optuna.samplers.BaseSampler, _call(name, make, again, options or {}))

    return build


def _call(
    reference: str, make: Callable[..., Any], setting: Setting, options: Mapping[str, Any]
) -> object:
    taken = inspect.signature(make).parameters
    takes_all = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
    spare = [name for name in options if name not in taken and not takes_all]
    if spare:
        raise UsageError(
            f"sampler: {reference} has no option {', '.join(spare)}. It takes "
            f"{', '.join(taken) or 'nothing'}."
        )
    given = {
        each.name: getattr(setting, each.name) for each in fields(Setting) if each.name in taken
    }
    try:
        with bold():
            return make(**{**given, **options})
    except Exception as error:
        raise UsageError(
            f"sampler: {reference} was called with {', '.join((*given, *options)) or 'nothing'}, "
            f"and raised {type(error).__name__}: {error}"
        ) from error
