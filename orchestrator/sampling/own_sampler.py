"""Samplers that a user brings along: of our protocol, or any of Optuna's."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, cast

import optuna

from orchestrator.contracts import Sampler, Suggestion
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.sampling.kinds import Kind
from orchestrator.sampling.optuna_logging import bold
from orchestrator.sampling.optuna_sampler import OptunaSampler
from orchestrator.sampling.setting import Setting
from orchestrator.trials import Params, PriorPoint, Trial
from search_spaces import SearchSpace, SpaceError
from trainers.doors import FOREIGN_ERRORS, DoorError, load_reference, shown_error

_PROTOCOL = ("suggest", "observe", "learn")
# How often a sampler is asked again that proposes what was tried.
_REPEATS = 100


@dataclass
class OwnSampler:
    """A sampler of a user's own, whose answers are checked.

    Attributes:
        name: What the sweep file calls it.
        brought: What the user's code returned, or one of Optuna's in our protocol.
        space: What it may propose.
        seen: The configurations that were proposed or observed.
    """

    name: str
    brought: Any
    space: SearchSpace
    seen: set[str] = field(default_factory=set)

    def learn(self, points: Sequence[PriorPoint]) -> None:
        """Pass on what was measured before the sweep.

        Raises:
            UsageError: It raises.
        """
        self._asked("was told of earlier results", self.brought.learn, points)

    def observe(self, trial: Trial) -> None:
        """Pass on what is known of a trial.

        Raises:
            UsageError: It raises.
        """
        self.seen.add(_key(trial.params))
        self._asked(f"was told of trial {trial.number}", self.brought.observe, trial)

    def suggest(self) -> Suggestion | None:
        """Ask for a configuration; again, if it was tried.

        Raises:
            UsageError: It raises, or proposes what is no configuration of the space, or only what
                was tried.
        """
        asked = "was asked for a configuration"
        for _ in range(_REPEATS):
            found = self._asked(asked, self.brought.suggest)
            if found is None:
                return None
            suggestion = self._checked(found, asked)
            key = _key(suggestion.params)
            if key not in self.seen:
                self.seen.add(key)
                return suggestion
        raise UsageError(
            f"sampler: {self.name} {asked} {_REPEATS} times, and each time returned one that was "
            f"tried, the last one {key}: a sampler remembers what it proposed and what observe() "
            f"told it, and returns None where nothing is left."
        )

    @property
    def screened_out(self) -> int:
        """Return how many configurations it left out; 0 if it does not count them."""
        return int(getattr(self.brought, "screened_out", 0))

    def _checked(self, found: object, asked: str) -> Suggestion:
        where = f"sampler: {self.name} {asked}, and returned"
        if not isinstance(found, Suggestion):
            raise UsageError(
                f"{where} {found!r:.100}; a Suggestion (orchestrator.contracts) is needed, or "
                f"None if there is none left."
            )
        try:
            # NumPy's and torch's scalars become numbers of Python.
            params = {
                name: value.item() if hasattr(value, "item") else value
                for name, value in found.params.items()
            }
            params = self.space.canonical(params)
        except (SpaceError, AttributeError, TypeError, ValueError) as error:
            raise UsageError(
                f"{where} {found.params!r:.100}, which is no configuration of the space: {error}"
            ) from None
        try:
            json.dumps(dict(found.sampler_attrs))
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"{where} sampler_attrs that cannot be stored: {error}. Use text, numbers, lists "
                f"and mappings."
            ) from None
        return Suggestion(params, found.sampler_attrs)

    def _asked(self, asked: str, method: Callable[..., Any], *given: object) -> Any:
        try:
            return method(*given)
        except OrchestratorError:
            raise
        except FOREIGN_ERRORS as error:
            raise UsageError(
                f"sampler: {self.name} {asked}, and raised {shown_error(error)}"
            ) from error


def _key(params: Params) -> str:
    return json.dumps(dict(params), sort_keys=True)


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
        brought: One of Optuna's samplers, or of the protocol.
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
        ours = OptunaSampler(
            setting.space,
            setting.objectives,
            setting.constraints,
            seed=setting.seed,
            kind=kind,
            known=setting.known,
        )
        return OwnSampler(name or type(brought).__name__, ours, setting.space)
    lacking = [each for each in _PROTOCOL if not callable(getattr(brought, each, None))]
    if lacking:
        raise UsageError(
            f"sampler: {name or type(brought).__name__} is neither one of Optuna's samplers nor "
            f"has what a sampler has: {', '.join(lacking)}. See "
            f"orchestrator.contracts.Sampler."
        )
    return OwnSampler(name or type(brought).__name__, brought, setting.space)


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
    except FOREIGN_ERRORS as error:
        raise UsageError(
            f"sampler: {reference} was called with {', '.join((*given, *options)) or 'nothing'}, "
            f"and raised {shown_error(error)}"
        ) from error
