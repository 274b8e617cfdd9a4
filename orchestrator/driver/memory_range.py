"""The range of sizes that the networks of a sweep have, known before any is trained."""

import math
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from orchestrator.contracts import Prepared
from orchestrator.search.cost_model import SIZING, known_sizes
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import Params
from search_spaces import Choice, Domain, Value
from trainers.config import TrialConfig, with_params
from trainers.pruning import PruningConfig
from trainers.pruning.config import PREFIX, PRUNING_PARAMETERS
from trainers.quantization.allocation import BIT_WIDTHS, AllocationConfig
from trainers.quantization.layer_bits import LAYER_BITS

if TYPE_CHECKING:
    from trainers.data import ImageData


_Corner = tuple[tuple[str, Value], ...]

# What decides which weights are pruned, and not how many.
_SIZELESS = (f"{PREFIX}criterion", f"{PREFIX}schedule")


def memory_sizes(spec: SweepSpec, data: "ImageData") -> tuple[list[int], list[str]]:
    """Compute the bytes of the packed networks at the corners of a sweep's space.

    Sizes grow with every width and every bit-width, so that the smallest and the largest network
    of the sweep are among them, as they are without pruning.

    Args:
        spec: The sweep.
        data: Its images, for the number and the names of the classes.

    Returns:
        The sizes, and why no network has the parameters of other corners; each reason once.

    >>> from orchestrator.spec.files import load_sweep
    >>> from trainers.data.loading import load_data
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> sizes, refused = memory_sizes(spec, load_data(spec.data_config()))
    >>> refused, max(sizes) > 2 * min(sizes)
    ([], True)
    """
    fixed, prepared = spec.trial_config(), prepared_of(spec, data)
    dense: dict[_Corner, list[int]] = {}
    tried: set[_Corner] = set()
    refusals: dict[str, None] = {}
    for params in _corners(spec):
        try:
            config = with_params(fixed, params, seed=0)
            if (corner := _without(params, _SIZELESS)) not in tried:
                # A pruning that leaves a layer empty is refused here.
                known_sizes(config, prepared)
                tried.add(corner)
            if (corner := _without(params, PRUNING_PARAMETERS)) not in dense:
                dense[corner] = _sizes(replace(config, pruning=PruningConfig()), prepared)
        except ValueError as error:
            refusals[str(error)] = None
    return [size for sizes in dense.values() for size in sizes], list(refusals)


def _without(params: Params, names: Collection[str]) -> _Corner:
    return tuple((name, value) for name, value in params.items() if name not in names)


def _sizes(config: TrialConfig, prepared: Prepared) -> list[int]:
    """Return the size of the packed network; under a budget, the ends of what it can be.

    Raises:
        ValueError: No network has this config, or none is within the budget.
    """
    budget = config.allocation
    if not budget.active:
        return [int(known_sizes(config, prepared)["memory_bytes"])]
    plain = replace(config, allocation=AllocationConfig())
    ends = (BIT_WIDTHS[0], BIT_WIDTHS[-1])
    if budget.bits is not None:
        ends = (math.floor(budget.bits), math.ceil(budget.bits))
    least, most = (
        int(known_sizes(replace(plain, bits=bits, fc_bits=bits), prepared)["memory_bytes"])
        for bits in ends
    )
    if budget.bytes is None:
        return [least, most]
    if least > budget.bytes:
        raise ValueError(
            f"allocation.bytes is {budget.bytes:,}, and with {ends[0]} bits everywhere the packed "
            f"network has {least:,} bytes: raise the budget, or take a smaller network."
        )
    return [least, min(most, budget.bytes)]


def _corners(spec: SweepSpec) -> Iterator[dict[str, Value]]:
    """Smallest and largest values of what decides a size, in every combination.

    Bits of single layers are all small or all large together.
    """
    space = spec.search_space
    names = [name for name in space.names if name in SIZING]
    layers = [name for name in space.names if name in LAYER_BITS]
    ranges = [_ends(space.domains[name]) for name in names]
    layer_ends = [_ends(space.domains[name]) for name in layers]
    together = [dict(zip(layers, bits, strict=True)) for bits in zip(*layer_ends, strict=True)]
    seen: set[_Corner] = set()
    for corner, layer_bits in product(product(*ranges), together or [{}]):
        params = dict(zip(names, corner, strict=True)) | layer_bits
        active = {name: params[name] for name in space.active(params) if name in params}
        key = tuple(active.items())
        if key not in seen:
            seen.add(key)
            yield active


def _ends(domain: Domain) -> tuple[Value, ...]:
    """Smallest and largest number, or every value if there are words among them."""
    values: tuple[Value, ...] = (
        tuple(domain.values()) if isinstance(domain, Choice) else (domain.low, domain.high)
    )
    numbers = [value for value in values if not isinstance(value, str)]
    return (min(numbers), max(numbers)) if len(numbers) == len(values) else values


def prepared_of(spec: SweepSpec, data: "ImageData") -> Prepared:
    """Find out, before any worker starts, the classes and shapes that each of them would.

    >>> from orchestrator.spec.files import load_sweep
    >>> from trainers.data.loading import load_data
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> prepared = prepared_of(spec, load_data(spec.data_config()))
    >>> len(prepared.classes), list(prepared.backbones)
    (10, ['digitnet'])
    """
    from trainers.networks.backbones.shapes import backbone_shapes

    shapes = {name: backbone_shapes(name) for name in spec.architectures}
    return Prepared(tuple(data.classes), shapes)
