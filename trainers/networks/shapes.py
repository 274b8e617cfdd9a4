"""Tensors of packed networks, as far as sizes are concerned; importable without torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from trainers.networks.spec import NetworkSpec, tuned_blocks

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorShapes:
    """Tensors of a network or of a part of it, by their names in the network.

    Attributes:
        stored: Shape of each tensor, in the order of the state dict.
        is_convolution: Of each weight that can be quantized, from input to output: whether it is
            that of a convolution, or else of a linear layer.
    """

    stored: Mapping[str, Shape]
    is_convolution: Mapping[str, bool]

    def __or__(self, other: "TensorShapes") -> "TensorShapes":
        """One part after the other."""
        return TensorShapes(
            {**self.stored, **other.stored}, {**self.is_convolution, **other.is_convolution}
        )


@dataclass(frozen=True, slots=True)
class BackboneShapes:
    """What the sizes of all networks with one backbone follow from.

    Attributes:
        tensors: Of the convolutional part.
        block_params: Learnable values of each block, from input to output; together all of them.
    """

    tensors: TensorShapes
    block_params: tuple[int, ...]

    @property
    def params(self) -> int:
        """Learnable values of the convolutional part."""
        return sum(self.block_params)

    def trainable_params(self, tune: str) -> int:
        """Those that `tune` trains, the head not counted.

        Raises:
            ValueError: As `tuned_blocks`.
        """
        count = tuned_blocks(tune, len(self.block_params))
        return sum(self.block_params[len(self.block_params) - count :])


def network_shapes(backbone: BackboneShapes, spec: NetworkSpec) -> TensorShapes:
    """The tensors of a whole network."""
    return backbone.tensors | head_shapes(spec.n_features, spec.widths, spec.classes)


def head_shapes(n_features: int, widths: Sequence[int], classes: int) -> TensorShapes:
    """The tensors of the head that `networks.heads.build_head` builds, without dropout."""
    stored: dict[str, Shape] = {}
    for index, (before, after) in enumerate(pairwise((n_features, *widths, classes))):
        # Every second layer is a ReLU.
        stored[f"head.{2 * index}.weight"] = (after, before)
        stored[f"head.{2 * index}.bias"] = (after,)
    return TensorShapes(stored, {name: False for name, shape in stored.items() if len(shape) > 1})


def count_values(shapes: Mapping[str, Shape]) -> int:
    """How many numbers tensors of these shapes hold."""
    return sum(map(math.prod, shapes.values()))


def is_counter(name: str) -> bool:
    """Whether a tensor is the batch counter of a batch norm, which inference never reads."""
    return name.rpartition(".")[2] == "num_batches_tracked"
