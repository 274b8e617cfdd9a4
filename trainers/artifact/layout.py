"""The layout of a packed network, from its spec alone."""

from collections.abc import Mapping, Sequence

from trainers.artifact.packed_layout import ALL_DENSE, Layout, packed_layout
from trainers.artifact.sparse import Places
from trainers.networks.backbones.shapes import backbone_shapes, stored_shapes
from trainers.networks.meta import without_memory
from trainers.networks.network import Network, network_from_spec
from trainers.networks.shapes import TensorShapes, network_shapes
from trainers.networks.spec import NetworkSpec
from trainers.quantization import QuantizationConfig
from trainers.quantization.plan import weight_kinds


def layout_of(
    spec: NetworkSpec,
    quantization: QuantizationConfig,
    classes: Sequence[str] | None,
    sparse: Mapping[str, Places] = ALL_DENSE,
    *,
    merge_norms: bool = False,
) -> Layout:
    """Compute the layout of a packed network from its spec, without building it.

    Raises:
        ValueError: As `packed_layout`.

    >>> from trainers.networks.spec import spec_of
    >>> spec = spec_of("digitnet", (16,), 10)
    >>> sizes = [layout_of(spec, QuantizationConfig(bits=bits), None).bytes for bits in (4, 8)]
    >>> sizes[0] < sizes[1]
    True
    """
    if spec.narrowed:
        network = empty_network(spec)
        shapes = TensorShapes(stored_shapes(network), weight_kinds(network))
    else:
        shapes = network_shapes(backbone_shapes(spec.backbone), spec)
    return packed_layout(spec, shapes, quantization, classes, sparse, merge_norms=merge_norms)


def empty_network(spec: NetworkSpec) -> Network:
    """Build the network of a spec on the meta device, where it takes no memory.

    >>> from trainers.networks.spec import spec_of
    >>> {str(each.device) for each in empty_network(spec_of("digitnet", (), 10)).parameters()}
    {'meta'}
    """
    with without_memory():
        return network_from_spec(spec)
