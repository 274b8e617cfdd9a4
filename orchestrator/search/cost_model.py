"""Values that follow from a configuration before it is trained: sizes in closed form.

The spec of a network determines its tensors, and the layout (`trainers.artifact.packed_layout`)
their bytes. Sizes therefore need no weights, no training and no torch, but only the shapes of the
backbone's tensors, which a worker looks up once when a run is prepared.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from orchestrator.contracts import KnownValues, Prepared
from orchestrator.quantities import QUANTITIES
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import Params, Value
from trainers.artifact.packed_layout import packed_layout
from trainers.config import TrialConfig, with_params
from trainers.methods.checking import check_large_kernels, expands
from trainers.networks.shapes import count_values, head_shapes, network_shapes
from trainers.networks.spec import spec_of
from trainers.pruning.config import PRUNING_PARAMETERS, check_groups, pruned_names
from trainers.quantization.allocation import ALLOCATED_BITS, BIT_WIDTHS, AllocationConfig
from trainers.quantization.layer_bits import LAYER_BITS

KNOWN_NAMES = tuple(q.name for q in QUANTITIES.values() if q.known_before_training)
"""Names of the values that are known before training."""

SIZING = frozenset(
    (
        *("backbone", "depth", "width_multiplier", "fc_rule", "fc_fraction", "fc_layers"),
        *("fc_width_1", "fc_width_2", "fc_width_3"),
        *("bits", "fc_bits", "quantizer", "scope", "codebook_bits", "qat", ALLOCATED_BITS),
        "activation_bits",
        *PRUNING_PARAMETERS,
        *("share_kernels", "expand"),
    )
)
"""Names of the parameters that decide a network's size, the bits of single layers aside."""
# Parameters that decide these values, or whether there is such a network at all.
_DECIDING = SIZING | {"tune", "policy", *LAYER_BITS}
# A few hundred bytes each.
_MOST_KEPT = 100_000

_Key = tuple[tuple[str, type, Value], ...]


class CostModel:
    """Gives the sizes of a configuration: exactly what its trial would measure.

    Each size is computed once. The result is empty if the parameters describe no valid network,
    or if the tensors of its backbone are unknown.

    Args:
        fixed: What all trials of the sweep share.
        prepared: What a worker found out; None if it was not asked.
    """

    def __init__(self, fixed: TrialConfig, prepared: Prepared | None) -> None:
        self._fixed, self._prepared = fixed, prepared or Prepared()
        self._kept: dict[_Key, Mapping[str, float]] = {}

    def __call__(self, params: Params) -> Mapping[str, float]:
        """Values by the names of `KNOWN_NAMES`; without bytes if the network is pruned."""
        # With the types: to Python 1 == 1.0 == True.
        key = tuple((name, type(v), v) for name, v in params.items() if name in _DECIDING)
        values = self._kept.get(key)
        if values is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            values = self._kept[key] = self._computed({name: v for name, _, v in key})
        return values

    def estimated(self, params: Params) -> Mapping[str, float]:
        """Return the same with what bytes a budget of bits will come to, to compare trials by.

        The bits of layers follow from the trained weights; the bytes lie between those of as many
        bits everywhere, rounded down and up. A budget of bytes is taken as used up.
        """
        values = self(params)
        if "memory_bytes" in values:
            return values
        try:
            config = with_params(self._fixed, params, seed=0)
            return {**values, **estimated_bytes(config, self._prepared)}
        except ValueError:
            return values

    def _computed(self, params: Params) -> Mapping[str, float]:
        try:
            return known_sizes(with_params(self._fixed, params, seed=0), self._prepared)
        except ValueError:
            # No valid network: its trial will fail with the reason.
            return {}


def known_sizes(config: TrialConfig, prepared: Prepared) -> Mapping[str, float]:
    """Compute the values of `KNOWN_NAMES`; empty if the backbone's tensors are not known.

    The bytes of a pruned network depend on where its zeros are, and are not among them.

    Raises:
        ValueError: No network has this config, or the pruning leaves a layer of it empty.

    >>> from trainers.networks.backbones.shapes import backbone_shapes
    >>> prepared = Prepared(("no", "yes"), {"digitnet": backbone_shapes("digitnet")})
    >>> known_sizes(TrialConfig(backbone="digitnet", weights="scratch"), prepared)["params"]
    252658.0
    """
    backbone = prepared.backbones.get(config.architecture)
    if backbone is None or config.pruning.removes_channels:
        # Which channels depend on which is known once the network is built.
        return {}
    classes = prepared.classes
    widths = config.head_widths(len(classes))
    spec = spec_of(config.architecture, widths, len(classes), image_size=config.image_size)
    spec = replace(spec, shared_kernels=config.methods.share_kernels)
    shapes = network_shapes(backbone, spec)
    shared = count_values(backbone.tensors.stored) - count_values(
        {name: shape for name, shape in shapes.stored.items() if name in backbone.tensors.stored}
    )
    if config.methods.expand == "kernels":
        check_large_kernels(sum(expands(shape) for shape in shapes.stored.values()))
    names = pruned_names(config.pruning, shapes.is_convolution)
    check_groups(config.pruning, {name: shapes.stored[name] for name in names})
    layout = packed_layout(spec, shapes, config.quantization, classes)
    head = count_values(head_shapes(spec.n_features, widths, len(classes)).stored)
    values = {
        "memory_bytes": layout.bytes,
        "head_bytes": layout.head_bytes,
        "backbone_bytes": layout.backbone_bytes,
        "params": backbone.params - shared + head,
        "head_params": head,
        "trainable_params": backbone.trainable_params(config.tune, config.reuse.frozen)
        - shared
        + head,
    }
    # With a budget the bits of layers follow from the trained weights.
    unknown = "_bytes" if config.pruning.active or config.allocation.active else "none"
    return {name: float(values[name]) for name in KNOWN_NAMES if not name.endswith(unknown)}


def comparable(known: KnownValues) -> KnownValues:
    """Return what trials are compared by that are still being trained: with estimated bytes.

    >>> from orchestrator.contracts import nothing_known
    >>> comparable(nothing_known) is nothing_known
    True
    """
    return known.estimated if isinstance(known, CostModel) else known


def estimated_bytes(config: TrialConfig, prepared: Prepared) -> Mapping[str, float]:
    """Estimate the bytes of a network under a budget; empty without one, and of pruned networks.

    Raises:
        ValueError: As `known_sizes`.

    >>> from trainers.networks.backbones.shapes import backbone_shapes
    >>> prepared = Prepared(("no", "yes"), {"digitnet": backbone_shapes("digitnet")})
    >>> fixed = TrialConfig(backbone="digitnet", weights="scratch")
    >>> budgets = [AllocationConfig(bits=bits) for bits in (3, 3.5, 4)]
    >>> configs = [replace(fixed, allocation=each) for each in budgets]
    >>> sizes = [estimated_bytes(each, prepared)["memory_bytes"] for each in configs]
    >>> sizes[1] == (sizes[0] + sizes[2]) / 2
    True
    """
    budget = config.allocation
    if not budget.active or config.pruning.active:
        return {}
    plain = replace(config, allocation=AllocationConfig())

    def size(bits: int) -> float:
        known = known_sizes(replace(plain, bits=bits, fc_bits=bits), prepared)
        return known.get("memory_bytes", math.nan)

    if budget.bits is None:
        found = min(float(budget.bytes or 0), size(BIT_WIDTHS[-1]))
    else:
        part, few = math.modf(budget.bits)
        found = size(int(few))
        if part:
            found += part * (size(int(few) + 1) - found)
    return {"memory_bytes": found} if math.isfinite(found) else {}


def sized_backbones(spec: SweepSpec) -> tuple[str, ...]:
    """Return the backbones whose tensors a run of this sweep needs; none if no size is needed.

    Their tensors need torch, whose import would add 2 s or more to the start of a run.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> sized_backbones(spec)  # no constraint on a size
    ()
    """
    asked = {constraint.name for constraint in spec.limits}
    scheduler: str = spec.scheduler.kind
    if scheduler != "fifo":
        asked |= spec.objectives.keys()
    if asked.isdisjoint(KNOWN_NAMES):
        return ()
    return spec.architectures
