"""Even out the ranges of weights across layers, without changing what the network computes."""

import copy
import operator
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from trainers.quantization.rounding.moments import groups_of

_ROUNDS = 20
"""Times that all factors are found anew, at most: each changes what others depend on."""

# f(s x) = s f(x) for each channel and s > 0. ReLU6 is none, as its upper bound stays where it is.
_PASSING = (
    *(nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten),
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
)
_PASSING_CALLS = {torch.relu, functional.relu, torch.flatten, functional.adaptive_avg_pool2d}
_Module = TypeVar("_Module", bound=nn.Module)
_ADDING = {operator.add, operator.iadd, torch.add}


@dataclass(eq=False)
class _Channels:
    """Values whose channels have the same factors, and the layers that write and read them.

    Attributes:
        writers: Names of layers, and of the batch norm behind each.
        readers: Names of layers.
        fixed: Whether an operation that passes no factors on reads or writes them too.
    """

    writers: dict[str, str | None] = field(default_factory=dict)
    readers: list[str] = field(default_factory=list)
    fixed: bool = False


def equalized(network: _Module) -> _Module:
    """Return a copy whose layers have more even ranges of weights, and which computes the same.

    A channel i that one layer writes and another reads, through operations that pass factors on,
    is divided by `s_i` where it is written and multiplied by it where it is read. With the ranges
    `r1_i = max |w|` of the weights that write it, times the factor of the batch norm behind them,
    and `r2_i` of those that read it, the paper's `s_i = sqrt(r1_i / r2_i)` makes both alike. Here
    it is rounded to a power of two, so that no result changes by a bit. Channels that are added
    up share their factors, so that a residual stream is treated as a whole.

    A batch norm takes up the factors of the layer before it. The paper folds the two into one;
    here they stay apart, so that each output of such a layer can be given the same range and the
    norm divide it again. That makes one step a layer about as good as one a channel.

    Channels keep their ranges where anything else reads or writes them: ReLU6, sigmoids,
    concatenation, padding with channels. The paper replaces ReLU6 by ReLU, which is another
    network. One that cannot be traced by `torch.fx` is copied as it is.

    Args:
        network: In eval mode; not modified.

    References:
        M. Nagel et al. Data-free quantization through weight equalization and bias correction.
        ICCV 2019, section 4.1. https://arxiv.org/abs/1906.04721

    >>> network = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)).eval()
    >>> _ = network[0].weight.data.copy_(torch.tensor([[4.0], [1.0]]))
    >>> _ = network[2].weight.data.copy_(torch.tensor([[1.0, 1.0]]))
    >>> equalized(network)[2].weight.tolist()
    [[2.0, 1.0]]
    """
    network = copy.deepcopy(network)
    found = _channels(network)
    open_ones = [each for each in found if not each.fixed and each.writers and each.readers]
    with torch.no_grad():
        for _ in range(_ROUNDS):
            changed = [_even_out(network, channels) for channels in open_ones]
            if not any(changed):
                break
        for channels in found:
            for layer, norm in channels.writers.items():
                if norm is not None:
                    _even_rows(network.get_submodule(layer), network.get_submodule(norm))
    return network


def _even_out(network: nn.Module, channels: _Channels) -> bool:
    """Multiply and divide by the factors of these channels; return whether any is not 1."""
    written = torch.stack(
        [
            _rows(
                network.get_submodule(name), None if norm is None else network.get_submodule(norm)
            )
            for name, norm in channels.writers.items()
        ]
    ).amax(0)
    readers = [network.get_submodule(name) for name in channels.readers]
    read = torch.stack([_columns(layer, len(written)) for layer in readers]).amax(0)
    factors = _power_of_two((written / read).sqrt())
    for name, norm in channels.writers.items():
        for parameter in network.get_submodule(norm or name).parameters(recurse=False):
            parameter.div_(_beside(factors, parameter))
    for layer in readers:
        layer.get_parameter("weight").mul_(_by_input(factors, layer))
    return bool((factors != 1).any())


def _even_rows(layer: nn.Module, norm: nn.Module) -> None:
    """Give all outputs the same range, and let the norm behind the layer divide them again."""
    ranges = _rows(layer, None)
    factors = _power_of_two(ranges.amax() / ranges)
    for parameter in layer.parameters(recurse=False):
        parameter.mul_(_beside(factors, parameter))
    norm.get_buffer("running_mean").mul_(factors)
    # Not the variance, to which eps is added.
    norm.get_parameter("weight").div_(factors)


def _power_of_two(factors: Tensor) -> Tensor:
    """Round factors; those that no range decides are 1."""
    usable = torch.isfinite(factors) & (factors > 0)
    return torch.where(usable, factors, 1.0).log2().round().exp2()


def _beside(factors: Tensor, parameter: Tensor) -> Tensor:
    return factors.reshape(-1, *[1] * (parameter.ndim - 1))


def _rows(layer: nn.Module, norm: nn.Module | None) -> Tensor:
    """Return the range of each output, with the factor of the norm behind it."""
    ranges = layer.get_parameter("weight").abs().flatten(1).amax(1)
    if norm is None:
        return ranges
    spread = norm.get_buffer("running_var") + float(getattr(norm, "eps", 0.0))
    return ranges * norm.get_parameter("weight").abs() / spread.sqrt()


def _columns(layer: nn.Module, count: int) -> Tensor:
    """Return the range of what reads each of `count` channels."""
    weight, groups = layer.get_parameter("weight").abs(), groups_of(layer)
    ranges = weight.reshape(*weight.shape[:2], -1).amax(2)
    inputs = ranges.view(groups, len(ranges) // groups, -1).amax(1).flatten()
    return inputs.view(count, -1).amax(1)


def _by_input(factors: Tensor, layer: nn.Module) -> Tensor:
    """Return factors of channels in a shape to multiply the weight of a layer that reads them."""
    weight, groups = layer.get_parameter("weight"), groups_of(layer)
    each = factors.repeat_interleave(groups * weight.shape[1] // len(factors)).view(groups, -1)
    each = each.repeat_interleave(len(weight) // groups, 0)
    return each.view(*weight.shape[:2], *[1] * (weight.ndim - 2))


class _Tracer(fx.Tracer):
    """Takes what has no parameters as one operation: that input transforms look at shapes."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether not to look into a module."""
        if super().is_leaf_module(m, module_qualified_name):
            return True
        return not isinstance(m, nn.Sequential) and not any(True for _ in m.parameters())


def _channels(network: nn.Module) -> list[_Channels]:
    """Return the channels of a network whose layers are each called once."""
    try:
        graph = _Tracer().trace(network)
    except Exception:
        # Whatever a user's own code raises when it is traced.
        return []
    of: dict[fx.Node, _Channels] = {}
    for node in graph.nodes:
        _follow(network, node, of)
    called = Counter(node.target for node in graph.nodes if node.op == "call_module")
    names = {name for name, _ in network.named_parameters()}
    return [
        channels
        for channels in {id(each): each for each in of.values()}.values()
        if all(
            # One that is called twice, or whose weight another one shares, has other factors too.
            called[name] == 1 and f"{name}.weight" in names
            for name in (*channels.writers, *channels.readers, *channels.writers.values())
            if name is not None
        )
        # Terms of a sum may have different shapes.
        and len({len(network.get_parameter(f"{name}.weight")) for name in channels.writers}) < 2
    ]


def _follow(network: nn.Module, node: fx.Node, of: dict[fx.Node, _Channels]) -> None:
    """Find out which channels a step of a computation reads and writes."""
    given = [of[each] for each in node.all_input_nodes]
    module = network.get_submodule(str(node.target)) if node.op == "call_module" else None
    if len(given) == 1 and _is_layer(module):
        given[0].readers.append(str(node.target))
        of[node] = _Channels({str(node.target): None})
    elif len(given) == 1 and isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        before = node.all_input_nodes[0]
        is_behind = given[0].writers.keys() == {before.target} and len(before.users) == 1
        if is_behind and module.affine and module.track_running_stats:
            given[0].writers[str(before.target)] = str(node.target)
            of[node] = given[0]
        else:
            _fix(node, given, of)
    elif len(given) == 1 and (isinstance(module, _PASSING) or node.target in _PASSING_CALLS):
        of[node] = given[0]
    elif len(given) == len(node.args) == 2 and node.target in _ADDING:
        of[node] = _joined(given[0], given[1], of)
    else:
        _fix(node, given, of)


def _is_layer(module: nn.Module | None) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.padding_mode == "zeros"
    return isinstance(module, nn.Linear)


def _fix(node: fx.Node, given: Iterable[_Channels], of: dict[fx.Node, _Channels]) -> None:
    """Let everything that a step reads and writes keep its ranges."""
    for channels in given:
        channels.fixed = True
    of[node] = _Channels(fixed=True)


def _joined(one: _Channels, other: _Channels, of: dict[fx.Node, _Channels]) -> _Channels:
    """Return the channels of a sum, whose terms have the same factors."""
    if one is not other:
        one.writers |= other.writers
        one.readers += other.readers
        one.fixed |= other.fixed
        of |= {node: one for node, channels in of.items() if channels is other}
    return one
