"""Shapes of the tensors of packed networks; importable without torch."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from trainers.networks.spec import NetworkSpec, tuned_blocks

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorShapes:
    """Tensors of a network or of a part of it, by their names in the network.

    Attributes:
        stored: Shape of each tensor, in the order of the state dict.
        is_convolution: For each weight that can be quantized, from input to output: whether it
            belongs to a convolution (True) or to a linear layer (False).
    """

    stored: Mapping[str, Shape]
    is_convolution: Mapping[str, bool]

    def __or__(self, other: "TensorShapes") -> "TensorShapes":
        """Append the tensors of another part."""
        return TensorShapes(
            {**self.stored, **other.stored}, {**self.is_convolution, **other.is_convolution}
        )

    def with_shared_kernels(self) -> "TensorShapes":
        """Leave out the kernels that are those of an earlier layer; see `shared_with`.

        Raises:
            ValueError: No two convolutions have the same shape.
        """
        kernels = {n: self.stored[n] for n, convolves in self.is_convolution.items() if convolves}
        gone = shared_with(kernels)
        return TensorShapes(
            {name: shape for name, shape in self.stored.items() if name not in gone},
            {name: each for name, each in self.is_convolution.items() if name not in gone},
        )


@dataclass(frozen=True, slots=True)
class BackboneShapes:
    """Shapes that determine the sizes of all networks with one backbone.

    Attributes:
        tensors: Of the convolutional part.
        block_params: Learnable values of each block, from input to output; every learnable value
            of the convolutional part is in one of them.
        layer_params: Learnable values of each convolution with its norms, by its name.
    """

    tensors: TensorShapes
    block_params: tuple[int, ...]
    layer_params: Mapping[str, int] = field(default_factory=dict)

    @property
    def params(self) -> int:
        """Learnable values of the convolutional part."""
        return sum(self.block_params)

    def trainable_params(self, tune: str, frozen: Collection[str] = ()) -> int:
        """Count the learnable values that `tune` trains, without the head and frozen layers.

        Raises:
            ValueError: As `tuned_blocks`.
        """
        count = tuned_blocks(tune, len(self.block_params))
        kept = sum(self.layer_params[name] for name in frozen)
        return sum(self.block_params[len(self.block_params) - count :]) - kept


def shared_with(kernels: Mapping[str, Shape]) -> dict[str, str]:
    """Return the first kernel of the same shape, by the name of each later one.

    Args:
        kernels: Shapes of the weights of convolutions, from input to output.

    Raises:
        ValueError: No two of them have the same shape.

    >>> shared_with({"a": (4, 4, 3, 3), "b": (8, 4, 3, 3), "c": (4, 4, 3, 3)})
    {'c': 'a'}
    """
    first: dict[Shape, str] = {}
    shared = {
        name: owner
        for name, shape in kernels.items()
        if (owner := first.setdefault(shape, name)) != name
    }
    if not shared:
        raise ValueError(
            f"share_kernels lets convolutions of one shape use one kernel, and no two of the "
            f"{len(kernels)} convolutions of this backbone have the same shape. Use a backbone "
            f"with longer stages, such as cifar_resnet20, or leave share_kernels out."
        )
    return shared


def network_shapes(backbone: BackboneShapes, spec: NetworkSpec) -> TensorShapes:
    """Return the tensors of a whole network.

    >>> from trainers.networks.backbones.shapes import backbone_shapes
    >>> from trainers.networks.spec import spec_of
    >>> found = network_shapes(backbone_shapes("digitnet"), spec_of("digitnet", (), 10))
    >>> found.stored["head.0.weight"]
    (10, 576)
    """
    tensors = backbone.tensors
    if spec.shared_kernels:
        tensors = tensors.with_shared_kernels()
    return tensors | head_shapes(spec.n_features, spec.widths, spec.classes)


def head_shapes(n_features: int, widths: Sequence[int], classes: int) -> TensorShapes:
    """Return the tensors of the head that `networks.heads.build_head` builds without dropout.

    >>> head_shapes(576, (), 10).stored
    {'head.0.weight': (10, 576), 'head.0.bias': (10,)}
    """
    stored: dict[str, Shape] = {}
    for index, (before, after) in enumerate(pairwise((n_features, *widths, classes))):
        # Every second layer is a ReLU.
        stored[f"head.{2 * index}.weight"] = (after, before)
        stored[f"head.{2 * index}.bias"] = (after,)
    return TensorShapes(stored, {name: False for name, shape in stored.items() if len(shape) > 1})


def count_values(shapes: Mapping[str, Shape]) -> int:
    """Count the elements of tensors of these shapes.

    >>> count_values({"weight": (3, 4), "bias": (3,)})
    15
    """
    return sum(map(math.prod, shapes.values()))


def is_counter(name: str) -> bool:
    """Return whether a tensor is the batch counter of a batch norm, which inference never reads.

    >>> is_counter("features.1.num_batches_tracked")
    True
    """
    return name.rpartition(".")[2] == "num_batches_tracked"
