"""Weights that are trained in another form, and contracted to their own afterwards.

Each form is a parametrization (`torch.nn.utils.parametrize`) of a layer's weight: the network
computes what the layers of the form would compute one after or beside the other, since these are
linear, and contraction is reading the weight once more.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from trainers.determinism import derive_seed
from trainers.methods.checking import check_large_kernels, expands
from trainers.methods.config import MethodsConfig
from trainers.methods.kernel_expansion import ExpandedKernel
from trainers.quantization.plan import CONVOLUTIONS

_PARTS = ("weight", "bias")


class Expanded(nn.Module):
    """A convolution as three: 1x1 to `r in`, k x k to `r out`, 1x1 to `out` channels.

    This is the paper's ExpandNet-CL. With the kernels `A`, `B`, `C` the weight is
    `W_oi = sum_pq C_op B_pq A_qi` at each place of the kernel. They start at random, and so that
    `W` is the weight that the layer had, pre-trained or not: `A` has orthonormal columns, `C`
    orthonormal rows, and `B = C^T W A^T + N`, with the part of random kernels `N` that `A` and `C`
    do not see.

    Args:
        rate: `r`, at least 1.
        seed: Decides the start.

    References:
        S. Guo, J. M. Alvarez, M. Salzmann. ExpandNets: linear over-parameterization to train
        compact convolutional networks. NeurIPS 2020, section 3. https://arxiv.org/abs/1811.10495

    >>> rule = Expanded(2, 0)
    >>> weight = torch.randn(3, 4, 3, 3)
    >>> factors = rule.right_inverse(weight)
    >>> [tuple(each.shape) for each in factors]
    [(8, 4), (6, 8, 3, 3), (3, 6)]
    >>> bool(torch.allclose(rule(*factors), weight, atol=1e-5))
    True
    """

    def __init__(self, rate: int, seed: int) -> None:
        super().__init__()
        self._rate = rate
        self._seed = seed

    def forward(self, first: Tensor, middle: Tensor, last: Tensor) -> Tensor:
        """Contract the three kernels."""
        seen = (last @ middle.flatten(1)).reshape(len(last), middle.shape[1], -1)
        contracted = torch.einsum("oqk,qi->oik", seen, first)
        return contracted.reshape(len(last), first.shape[1], *middle.shape[2:])

    @torch.no_grad()
    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw three kernels that contract to the weight."""
        outputs, inputs, *places = weight.shape
        drawn = torch.Generator().manual_seed(self._seed)
        first = _orthonormal(self._rate * inputs, inputs, drawn).to(weight)
        last = _orthonormal(self._rate * outputs, outputs, drawn).to(weight).t().contiguous()
        own = torch.einsum("po,oi...,qi->pq...", last.t(), weight, first)
        shape = (self._rate * outputs, self._rate * inputs, *places)
        noise = torch.randn(shape, generator=drawn).to(weight) * _size(weight)
        seen = torch.einsum("op,pq...,qi->oi...", last, noise, first)
        noise -= torch.einsum("po,oi...,qi->pq...", last.t(), seen, first)
        return first, own + noise, last


class ExpandedLinear(nn.Module):
    """A fully connected layer as three, with `r out` units between them (ExpandNet-FC).

    With the matrices `A`, `B`, `C` the weight is `C B A`. They start at random, and so that this
    is the weight `W` that the layer had: `A = Q W + (I - Q Q^T) N`, `B` orthogonal, `C = Q^T B^T`,
    with a random `Q` of orthonormal columns and random `N`. The paper's widths were not
    available; `r out` is ours.

    Args:
        rate: `r`, at least 1.
        seed: Decides the start.

    References:
        S. Guo, J. M. Alvarez, M. Salzmann. ExpandNets. NeurIPS 2020, section 3.
        https://arxiv.org/abs/1811.10495

    >>> rule = ExpandedLinear(2, 0)
    >>> weight = torch.randn(3, 5)
    >>> factors = rule.right_inverse(weight)
    >>> [tuple(each.shape) for each in factors]
    [(6, 5), (6, 6), (3, 6)]
    >>> bool(torch.allclose(rule(*factors), weight, atol=1e-5))
    True
    """

    def __init__(self, rate: int, seed: int) -> None:
        super().__init__()
        self._rate = rate
        self._seed = seed

    def forward(self, first: Tensor, middle: Tensor, last: Tensor) -> Tensor:
        """Contract the three matrices."""
        return (last @ middle) @ first

    @torch.no_grad()
    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw three matrices whose product is the weight."""
        drawn = torch.Generator().manual_seed(self._seed)
        units = self._rate * len(weight)
        basis = _orthonormal(units, len(weight), drawn).to(weight)
        middle = _orthonormal(units, units, drawn).to(weight)
        noise = torch.randn((units, weight.shape[1]), generator=drawn).to(weight) * _size(weight)
        first = basis @ weight + noise - basis @ (basis.t() @ noise)
        return first, middle, (middle @ basis).t().contiguous()


class Adapter(nn.Module):
    """A 1x1 convolution of low rank beside a frozen one: a parallel residual adapter.

    `W + centre(U V)`: `V` (rank, in) draws what is added from the input, and `U` (out, rank),
    which starts at zero, adds it. The sum goes into the kernel's central place, which is exact
    where the convolution pads by half its size. PeterRec puts small trained networks between
    frozen layers; the form for convolutions, without its nonlinearity, is that of Rebuffi et al.,
    whose adapters have full rank and batch norms of their own.

    Args:
        weight: The frozen weight (out, in, k, k).
        rank: At most the smaller of `in` and `out` is used.
        seed: Decides the start.

    References:
        S.-A. Rebuffi, H. Bilen, A. Vedaldi. Efficient parametrization of multi-domain deep neural
        networks. CVPR 2018, section 3. https://arxiv.org/abs/1803.10082
        F. Yuan et al. Parameter-efficient transfer from sequential behaviors for user modeling and
        recommendation. SIGIR 2020. https://arxiv.org/abs/2001.04253

    >>> weight = torch.randn(4, 3, 3, 3)
    >>> adapter = Adapter(weight, 2, 0)
    >>> torch.equal(adapter(weight), weight)
    True
    """

    def __init__(self, weight: Tensor, rank: int, seed: int) -> None:
        super().__init__()
        outputs, inputs = weight.shape[:2]
        rank = min(rank, outputs, inputs)
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn((rank, inputs), generator=generator) / math.sqrt(inputs)
        self.down = nn.Parameter(drawn.to(weight))
        self.up = nn.Parameter(torch.zeros((outputs, rank)).to(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """Add the adapter to the kernel."""
        added = torch.zeros_like(weight)
        added[:, :, weight.shape[2] // 2, weight.shape[3] // 2] = self.up @ self.down
        return weight + added


class FirstUnits(nn.Module):
    """A tensor of a layer as the first rows and columns of that of a wider one.

    Args:
        full: The tensor of the wider layer, before the training.
        shape: Shape of the part.

    >>> rule = FirstUnits(torch.arange(6.0).reshape(2, 3), (1, 2))
    >>> rule(rule.right_inverse(torch.zeros(1, 2))).tolist()
    [[0.0, 1.0]]
    """

    def __init__(self, full: Tensor, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._full = full.detach()
        self._part = tuple(slice(size) for size in shape)

    def forward(self, full: Tensor) -> Tensor:
        """Return the part."""
        return full[self._part]

    def right_inverse(self, part: Tensor) -> Tensor:
        """Return the tensor of the wider layer, whatever the part was."""
        return self._full.to(part)


def reparametrize(
    features: nn.Module, head: nn.Module, methods: MethodsConfig, *, seed: int
) -> None:
    """Give layers the forms in which `methods` trains them; the network computes the same.

    Grouped convolutions keep their own form: their kernels have no channels to mix. Large kernels
    that become several small ones are drawn anew (`ExpandedKernel`).

    >>> head = nn.Sequential(nn.Linear(4, 2))
    >>> reparametrize(nn.Identity(), head, MethodsConfig(expand="head"), seed=0)
    >>> [name for name, _ in head.named_parameters()][1]
    '0.parametrizations.weight.original0'

    Args:
        features: The backbone; changed in place.
        head: The head; changed in place.
        methods: What is expanded, and the rank of adapters.
        seed: Decides the start.

    Raises:
        MethodError: Large kernels are to be expanded, and there are none.
    """
    rules = {
        name: _convolution_rule(layer, methods, derive_seed(seed, "form", name))
        for name, layer in features.named_modules()
        if isinstance(layer, CONVOLUTIONS) and layer.groups == 1
    }
    if methods.expand == "kernels":
        check_large_kernels(sum(rule is not None for rule in rules.values()))
    for name, rule in rules.items():
        if rule is not None:
            parametrize.register_parametrization(features.get_submodule(name), "weight", rule)
    for name, layer in list(head.named_modules()):
        if isinstance(layer, nn.Linear) and methods.expand in ("head", "all"):
            linear = ExpandedLinear(methods.expand_rate, derive_seed(seed, "form of head", name))
            parametrize.register_parametrization(layer, "weight", linear)


def _convolution_rule(layer: nn.Module, methods: MethodsConfig, seed: int) -> nn.Module | None:
    weight: Tensor = layer.get_parameter("weight").detach()
    if methods.expand in ("convolutions", "all"):
        return Expanded(methods.expand_rate, seed)
    if methods.expand == "kernels":
        shape = tuple(weight.shape)
        return ExpandedKernel(methods.expand_rate, seed) if expands(shape) else None
    return Adapter(weight, methods.adapter_rank, seed) if methods.adapter_rank else None


def adjoin(head: nn.Module, full: nn.Module) -> None:
    """Make each layer of a head the first units of the same layer of a wider head.

    >>> from trainers.networks.heads import build_head
    >>> head, full = build_head(4, (2,), 3), build_head(4, (5,), 3, seed=1)
    >>> adjoin(head, full)
    >>> torch.equal(head[0].weight, full[0].weight[:2])
    True

    Args:
        head: Changed in place.
        full: A head with as many layers, none of them narrower.
    """
    for layer, wider in zip(_linear(head), _linear(full), strict=True):
        for name in _PARTS:
            tensor = layer.get_parameter(name)
            rule = FirstUnits(wider.get_parameter(name), tuple(tensor.shape))
            parametrize.register_parametrization(layer, name, rule)


def full_logits(head: nn.Module, features: Tensor) -> Tensor:
    """Compute the logits of the wider head that `adjoin` made a head a part of.

    >>> from trainers.networks.heads import build_head
    >>> head, full = build_head(4, (2,), 3), build_head(4, (5,), 3, seed=1)
    >>> adjoin(head, full)
    >>> inputs = torch.randn(6, 4)
    >>> torch.equal(full_logits(head, inputs), full(inputs))
    True
    """
    for layer in head.children():
        if isinstance(layer, nn.Linear):
            whole = (layer.get_parameter(f"parametrizations.{name}.original") for name in _PARTS)
            features = nn.functional.linear(features, *whole)
        else:
            features = layer(features)  # an activation, or dropout
    return features


def adapters(features: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of all adapters of a backbone.

    >>> adapters(nn.Conv2d(1, 1, 1))
    []
    """
    found = (module for module in features.modules() if isinstance(module, Adapter))
    return [parameter for adapter in found for parameter in adapter.parameters()]


def contract(network: nn.Module) -> None:
    """Replace every form by the weight that it computes, in place.

    >>> layer = nn.Conv2d(2, 2, 1)
    >>> reparametrize(layer, nn.Identity(), MethodsConfig(expand="convolutions"), seed=0)
    >>> contract(layer)
    >>> [name for name, _ in layer.named_parameters()]
    ['weight', 'bias']
    """
    for module in list(network.modules()):
        formed = _formed(module)
        if not formed:
            continue
        values = {name: getattr(module, name) for name in formed}
        originals = module.get_submodule("parametrizations")
        trained = {name: _is_trained(originals.get_submodule(name)) for name in formed}
        # Not `remove_parametrizations`: a copy of a module shares its class, which that changes.
        module.__class__ = type(module).__mro__[1]
        del module.parametrizations
        # Registered anew, since the order of a state dict matters: a weight before its bias.
        for name in _PARTS:
            parameter = module._parameters.pop(name, None)  # noqa: SLF001 - and was there
            tensor = values.get(name, parameter)
            if tensor is None:
                continue
            own = tensor.detach().clone(memory_format=torch.contiguous_format)
            is_trained = trained.get(name, tensor.requires_grad)
            module.register_parameter(name, nn.Parameter(own, is_trained))


def _is_trained(originals: nn.Module) -> bool:
    return any(each.requires_grad for each in originals.parameters(recurse=False))


_FORMS = (Expanded, ExpandedKernel, ExpandedLinear, Adapter, FirstUnits)


def is_reparametrized(network: nn.Module) -> bool:
    """Return whether a part of a network is trained in another form.

    >>> is_reparametrized(nn.Linear(2, 2))
    False
    """
    return any(isinstance(module, _FORMS) for module in network.modules())


def _formed(module: nn.Module) -> list[str]:
    """Return the names of a module's tensors that have one of these forms."""
    return [
        name
        for name in _PARTS
        if parametrize.is_parametrized(module, name)
        and isinstance(module.get_submodule(f"parametrizations.{name}.0"), _FORMS)
    ]


def _linear(head: nn.Module) -> Iterator[nn.Linear]:
    return (layer for layer in head.children() if isinstance(layer, nn.Linear))


def _size(weight: Tensor) -> float:
    """Return the root of the mean square of a weight."""
    return math.sqrt(float(weight.square().mean()))


def _orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Draw a matrix with orthonormal columns; `rows` is at least `columns`."""
    basis: Tensor = torch.linalg.qr(torch.randn((rows, columns), generator=generator)).Q
    return basis
