"""What trains the trials of a sweep, and which parameters it accepts."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Protocol

from orchestrator.spec.head_parameters import head_problems
from orchestrator.spec.own_parts import check_sampled_code
from orchestrator.trials import Params
from search_spaces import Choice, Domain, Int, SearchSpace, unknown
from trainers.config import TrialConfig, reference_of, with_params
from trainers.parameters import MAX_HIDDEN_LAYERS, PARAMETER_NAMES, PARAMETERS, check_parameter


class Trainer(Protocol):
    """What a sweep needs of what trains its trials; names of parameters are the trainer's."""

    def config(self, params: Params, seed: int, *, is_reference: bool = False) -> TrialConfig:
        """Build the settings of one trial, or of the reference.

        Raises:
            ValueError: It cannot be trained, with the reason.
        """
        ...


class OwnTrainer:
    """The package `trainers`.

    Args:
        fixed: What all trials of the sweep share.
    """

    def __init__(self, fixed: TrialConfig) -> None:
        self._fixed, self._reference = fixed, reference_of(fixed)

    def config(self, params: Params, seed: int, *, is_reference: bool = False) -> TrialConfig:
        """Build the settings of one trial, or of the reference.

        Raises:
            ValueError: No network has these parameters.
        """
        return with_params(
            self._reference if is_reference else self._fixed, dict(params), seed=seed
        )


def name_problems(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Find names that no trial knows.

    Yields:
        The name, and a sentence.

    >>> [name for name, _ in name_problems(["bits", "bitz"])]
    ['bitz']
    """
    for name in names:
        if name not in PARAMETERS:
            yield name, unknown("parameter", name, PARAMETER_NAMES)


def space_problems(space: SearchSpace, head: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Find what of a space no trial could be run with.

    Args:
        space: The search space.
        head: The head that all trials share, as in a sweep file.

    Yields:
        The wrong parameter, and a sentence.

    >>> from search_spaces import load_space
    >>> list(space_problems(load_space("smoke"), {}))
    []
    """
    for name, domain in space.domains.items():
        values: Iterable[Any] = _extremes(domain)
        if name in PARAMETERS and PARAMETERS[name].also and isinstance(domain, Int):
            # Numbers between two that are accepted may not be.
            values = chain(values, domain.values())
        for value in values:
            try:
                check_parameter(name, value)
                check_sampled_code(name, str(value))
            except ValueError as error:
                yield name, str(error)
                break
    yield from _width_problems(space.domains)
    yield from head_problems(space, head)


def _width_problems(domains: Mapping[str, Domain]) -> Iterator[tuple[str, str]]:
    """Find a head of N hidden layers that lacks the widths of some."""
    names = [f"fc_width_{number}" for number in range(1, MAX_HIDDEN_LAYERS + 1)]
    layers = _extremes(domains["fc_layers"]) if "fc_layers" in domains else ()
    counts = [number for number, name in enumerate(names, start=1) if name in domains]
    counts += [number for number in layers if isinstance(number, int)]
    needed = names[: max(counts, default=0)]
    missing = [name for name in needed if name not in domains]
    if missing:
        yield (
            "fc_layers" if layers else f"fc_width_{max(counts)}",
            f"A head of {len(needed)} hidden layers needs {', '.join(needed)}, and the space "
            f"lacks {', '.join(missing)}: add what is missing, or sample fewer layers.",
        )


def _extremes(domain: Domain) -> tuple[Any, ...]:
    return tuple(domain.values()) if isinstance(domain, Choice) else (domain.low, domain.high)
