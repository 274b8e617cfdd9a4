"""Which bits of single layers a sweep tries first: allocations by the layers' sensitivity."""

from typing import TYPE_CHECKING

from orchestrator.spec.sweep_spec import SweepSpec
from search_spaces import Choice, Domain, Int
from trainers.quantization.allocation import BIT_WIDTHS, Allocator, Option

if TYPE_CHECKING:
    from orchestrator.sampling.allocation_prior import AllocationPrior

_BUDGETS = 25


def allocation_prior(spec: SweepSpec) -> "AllocationPrior | None":
    """Return the allocations that are tried first; None for a sweep without a sensitivity.

    They are the best for budgets that are spread evenly between the fewest and the most bits of
    the space, of the layers whose bits it samples.

    >>> from orchestrator.spec.files import load_sweep
    >>> allocation_prior(load_sweep("examples/sweeps/digits.yaml")) is None
    True
    """
    section = spec.quantization.sensitivity
    if section is None:
        return None
    from orchestrator.sampling.allocation_prior import AllocationPrior

    domains = spec.search_space.domains
    names = [name for name in section.weights if name in domains and _bits(domains[name])]
    layers = []
    for name in names:
        lost = dict(zip(BIT_WIDTHS, section.divergences[name], strict=True))
        # Noise below zero must not be a reward.
        options = {
            bits: Option(bits * section.weights[name], max(0.0, lost[bits]))
            for bits in _bits(domains[name])
        }
        layers.append(options)
    allocator = Allocator(layers)
    most = sum(max(option.cost for option in options.values()) for options in layers)
    steps = [each / (_BUDGETS - 1) for each in range(_BUDGETS)]
    budgets = [allocator.least + step * (most - allocator.least) for step in steps]
    found = dict.fromkeys(allocator.best(budget) for budget in budgets)
    return AllocationPrior(tuple(dict(zip(names, bits, strict=True)) for bits in found))


def _bits(domain: Domain) -> list[int]:
    """Return the measured bits that a parameter may have."""
    if isinstance(domain, Int):
        return [bits for bits in BIT_WIDTHS if domain.low <= bits <= domain.high]
    options = domain.options if isinstance(domain, Choice) else ()
    return [bits for bits in BIT_WIDTHS if bits in options]
