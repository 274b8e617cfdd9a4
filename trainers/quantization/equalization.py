"""Even out the ranges of weights across layers, without changing what the network computes."""

import copy
import operator
from collections import Counter
from collections.abc import Iterable, Iterator
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

    A batch norm takes up the factor of the layer before it, whose weights stay as they are: they
    are quantized as they are, and not folded into one with the norm as in the paper.

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
    found = list(_channels(network))
    with torch.no_grad():
        for _ in range(_ROUNDS):
            changed = [_even_out(network, channels) for channels in found]
            if not any(changed):
                break
    return network


def _even_out(network: nn.Module, channels: _Channels) -> bool:
    """Multiply and divide by the factors of these channels; return whether any is not 1."""
    layers = {name: network.get_submodule(name) for name in (*channels.writers, *channels.readers)}
    norms = {
        name: None if norm is None else network.get_submodule(norm)
        for name, norm in channels.writers.items()
    }
    ranges = [_rows(layers[name], norm) for name, norm in norms.items()]
    if len({len(each) for each in ranges}) > 1:
        # Terms of different shapes were added up.
        return False
    written = torch.stack(ranges).amax(0)
    count = len(written)
    read = torch.stack([_columns(layers[name], count) for name in channels.readers]).amax(0)
    known = (written > 0) & (read > 0)
    exponents = torch.where(known, (written / read).log2() / 2, 0.0).round()
    if not exponents.any():
        return False
    factors = exponents.exp2()
    for name, norm in norms.items():
        target = layers[name] if norm is None else norm
        for parameter in target.parameters(recurse=False):
            parameter.div_(factors.reshape(-1, *[1] * (parameter.ndim - 1)))
    for name in channels.readers:
        layers[name].get_parameter("weight").mul_(_by_input(factors, layers[name]))
    return True


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


def _channels(network: nn.Module) -> Iterator[_Channels]:
    """Yield the channels of a network that can have factors."""
    try:
        graph = _Tracer().trace(network)
    except Exception:
        # Whatever a user's own code raises when it is traced.
        return
    of: dict[fx.Node, _Channels] = {}
    for node in graph.nodes:
        _follow(network, node, of)
    called = Counter(node.target for node in graph.nodes if node.op == "call_module")
    names = {name for name, _ in network.named_parameters()}
    for channels in {id(each): each for each in of.values()}.values():
        layers = [*channels.writers, *channels.readers, *filter(None, channels.writers.values())]
        # A layer that is called twice, or a weight that two layers share, has other factors too.
        is_own = all(called[name] == 1 and f"{name}.weight" in names for name in layers)
        if is_own and not channels.fixed and channels.writers and channels.readers:
            yield channels


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
