"""A header that lists equal parts of a network once; importable without torch.

The container has one tensor, `data`, and its facts have an entry `nodes` in the place of the
names, types, shapes and places of what is in it. The names of all stored tensors, cut at their
dots, are a tree, and equal subtrees are one node. A node is

- `["F32", 16, 3]`, a tensor of a type and a shape,
- `["U8", 27, [4, [2, 3, 3, 3]]]`, the codes of 4 bits of a weight of that shape, in 27 bytes; or
  `["U8", 27, [4, [2, 3, 3, 3], "features.conv_4"]]` if it shares the levels of that name, or
- `{"weight": 0, "bias": 1}`, the nodes below it, which are listed before it.

The last node is the root. From it the tensors follow one another in `data`, in the order of the
tree and without gaps.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NODES = "nodes"
DATA = "data"
VERSION = 2

SIZES = {"F32": 4, "F16": 2, "I8": 1, "U8": 1}
"""Bytes of a value by its type."""

_CODES = ".codes"
_MOST_TENSORS = 1_000_000
_DEEPEST = 100

Leaf = tuple[Any, ...]


def nodes_of(leaves: Mapping[str, Leaf]) -> list[Any]:
    """Build the nodes of a tree from its leaves, by their names.

    >>> leaf = ("F32", 3)
    >>> nodes_of({"a.weight": leaf, "b.weight": leaf})
    [['F32', 3], {'weight': 0}, {'a': 1, 'b': 1}]
    """
    nodes: list[Any] = []
    known: dict[Any, int] = {}

    def place(node: Any, key: Any) -> int:
        if key not in known:
            known[key] = len(nodes)
            nodes.append(node)
        return known[key]

    def grow(branch: Mapping[str, Any]) -> int:
        below = {
            word: grow(part) if isinstance(part, dict) else place(list(part), repr(part))
            for word, part in branch.items()
        }
        return place(below, tuple(below.items()))

    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *path, last = name.split(".")
        branch = tree
        for word in path:
            branch = branch.setdefault(word, {})
        branch[last] = leaf
    grow(tree)
    return nodes


def leaves_of(nodes: Sequence[Any]) -> dict[str, Leaf]:
    """List the leaves of a tree, in its order.

    Raises:
        ValueError: It is no tree, or would be too large.

    >>> leaves_of([["F32", 3], {"weight": 0}, {"a": 1, "b": 1}])
    {'a.weight': ('F32', 3), 'b.weight': ('F32', 3)}
    """
    counts: list[int] = []
    depths: list[int] = []
    for node in nodes:
        below = list(node.values()) if isinstance(node, dict) else []
        # What is listed before a node is finite, so that the tree is.
        if not all(isinstance(each, int) and 0 <= each < len(counts) for each in below):
            raise ValueError("its tensors are no tree")
        counts.append(sum(counts[each] for each in below) if isinstance(node, dict) else 1)
        depths.append(1 + max((depths[each] for each in below), default=0))
        if counts[-1] > _MOST_TENSORS or depths[-1] > _DEEPEST:
            raise ValueError("its tree of tensors is too large")

    def walk(place: int, name: str) -> Iterator[tuple[str, Leaf]]:
        node = nodes[place]
        if isinstance(node, dict):
            for word, below in node.items():
                yield from walk(below, f"{name}.{word}" if name else word)
        else:
            yield name, tuple(node)

    return dict(walk(len(nodes) - 1, "")) if nodes else {}


def written_out(facts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the facts and the container's entries as they are without a compact header.

    Args:
        facts: With `nodes`; a JSON object.

    Returns:
        Facts with an entry `tensors`, and an entry with `dtype`, `shape` and `data_offsets` for
        each tensor, whose offsets are within `data`.

    Raises:
        ValueError: The tree is none, or has leaves of an unknown form.

    >>> facts = {"nodes": [["U8", 5, [4, [2, 5]]], {"codes": 0}, {"weight": 1}]}
    >>> found, entries = written_out(facts)
    >>> found["tensors"], entries
    ({'weight': {'bits': 4, 'shape': [2, 5]}}, {'weight.codes': {'dtype': 'U8', 'shape': [5], \
'data_offsets': [0, 5]}})
    """
    found = {name: value for name, value in facts.items() if name != NODES}
    tensors: dict[str, dict[str, Any]] = {}
    entries, end = {}, 0
    for name, (dtype, *shape) in leaves_of(facts[NODES]).items():
        if shape and isinstance(shape[-1], list):
            codes = zip(("bits", "shape", "levels"), shape.pop(), strict=False)
            tensors[name.removesuffix(_CODES)] = dict(codes)
        if dtype not in SIZES or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"{name} has the type {dtype!r} and the shape {shape!r}")
        begin, end = end, end + math.prod(shape) * SIZES[dtype]
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    return {**found, "tensors": tensors}, entries
