"""Read a packed digitnet without paretune: numpy, torch and json are enough (1 s, no GPU).

A packed network is one safetensors file: the length of a JSON header (8 bytes, little-endian), the
header, then the tensors' bytes. Its `__metadata__` holds, under `paretune`, the architecture and
which tensors are quantized; in version 2 all tensors, as the leaves of a tree. `NAME.codes` is a
stream of b-bit integers. Every output channel, or some neighbors, or all of them have levels:
`NAME.scale` is the weight of one step, `NAME.zero_point` the code of zero, `NAME.codebook` the
weight of each code, in steps if it has any. Of a pruned weight only what is not zero is stored.

Run: `python read_artifact.py model.safetensors images.npy`, the images being uint8 (N, C, H, W).
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

LEVELS = ("scale", "zero_point", "codebook")
DTYPES = {"F32": "<f4", "F16": "<f2", "I8": "i1", "U8": "u1"}


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description of the network, and the tensors as they are stored."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    facts = json.loads(header.pop("__metadata__")["paretune"])
    tensors = [(name, entry["dtype"], *entry["shape"]) for name, entry in header.items()]
    if facts["version"] == 2:
        below: list[Any] = []
        for node in facts["nodes"]:
            leaf = [("", *node)] if isinstance(node, list) else []
            parts = [] if leaf else [(word, each) for word, n in node.items() for each in below[n]]
            below.append(leaf + [(f".{word}{name}", *rest) for word, (name, *rest) in parts])
        tensors, facts["tensors"] = [(name[1:], *rest) for name, *rest in below[-1]], {}
    stored = {}
    for name, dtype, *shape in tensors:
        if isinstance(shape[-1], list):
            codes = zip(("bits", "shape", "levels"), shape.pop(), strict=False)
            facts["tensors"][name.removesuffix(".codes")] = dict(codes)
        stored[name] = np.ndarray(shape, DTYPES[dtype], content, start).copy()
        start += stored[name].nbytes
    return facts, stored


def unpacked(stream: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Signed integers from a stream of bits, the lowest bit of the first byte coming first."""
    each = np.unpackbits(stream, count=count * bits, bitorder="little").reshape(count, bits)
    values = each @ (1 << np.arange(bits))
    return np.where(values >= 1 << (bits - 1), values - (1 << bits), values)  # two's complement


def dequantized(codes: np.ndarray, bits: int, levels: dict[str, np.ndarray]) -> np.ndarray:
    """The weights that codes stand for: `(codes - zero point) * scale`, or what is listed."""
    channels, groups = len(codes), len(next(iter(levels.values())))
    group = np.arange(channels) * groups // channels  # of neighboring channels, one, or all
    one_a_channel = (-1, *[1] * (codes.ndim - 1))
    scale = levels.get("scale", np.ones(groups, np.float32))[group].reshape(one_a_channel)
    if "codebook" in levels:  # its levels are floats, or bytes times the scale
        rows = codes.reshape(channels, -1) + (1 << (bits - 1))
        found = np.take_along_axis(levels["codebook"][group], rows, axis=1).reshape(codes.shape)
        return np.asarray(found * scale)
    zero = levels.get("zero_point", np.zeros(groups, int))[group].reshape(one_a_channel)
    return np.asarray((codes - zero).astype(np.float32) * scale)


def places(stream: np.ndarray, entry: dict[str, Any], count: int) -> np.ndarray:
    """Which weights of a pruned tensor are not zero, from a bitmap or the gaps between them."""
    if "gaps" not in entry:
        return np.unpackbits(stream, count=count).astype(bool)
    skip = (1 << entry["gap_bits"]) - 1
    gaps = unpacked(stream, entry["gap_bits"], entry["gaps"]) & skip
    ends = np.flatnonzero(gaps < skip)
    return np.isin(np.arange(count), np.cumsum(gaps)[ends] + np.arange(len(ends)))


def weights(facts: dict[str, Any], stored: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Float32 tensors by name: decoded, or what is stored as it is."""
    ends, sparse = (".weight", ".bias"), facts.get("sparse", {})
    tensors = {n: torch.tensor(v).float() for n, v in stored.items() if n.endswith(ends)}
    for name, entry in (sparse | facts["tensors"]).items():
        kept, found = np.ones(entry["shape"], bool), np.zeros(entry["shape"], np.float32)
        if name in sparse:
            kept = places(stored[f"{name}.places"], sparse[name], kept.size).reshape(kept.shape)
        if f"{name}.values" in stored:
            found[kept] = stored[f"{name}.values"]
        else:
            owner = entry.get("levels", name)
            levels = {p: stored[f"{owner}.{p}"] for p in LEVELS if f"{owner}.{p}" in stored}
            codes = np.zeros(kept.shape, int)
            codes[kept] = unpacked(stored[f"{name}.codes"], entry["bits"], kept.sum())
            found[kept] = dequantized(codes, entry["bits"], levels)[kept]
        tensors[name] = torch.tensor(found)
    return tensors


def prepared(images: np.ndarray, wanted: dict[str, Any]) -> torch.Tensor:
    """What the first convolution sees: channels, size and scale as in training."""
    pixels, size = torch.tensor(images).float() / 255, (wanted["height"], wanted["width"])
    if pixels.shape[1] == 3 and wanted["channels"] == 1:
        pixels = (pixels * torch.tensor([[[0.299]], [[0.587]], [[0.114]]])).sum(1, keepdim=True)
    if pixels.shape[-2:] != size:
        shrinks = pixels.shape[-2] > size[0] or pixels.shape[-1] > size[1]
        pixels = functional.interpolate(pixels, size, mode="bilinear", antialias=shrinks)
    mean, std = (torch.tensor(wanted[key]).view(-1, 1, 1) for key in ("mean", "std"))
    return (pixels - mean) / std


def layers(tensors: dict[str, torch.Tensor], part: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weight and bias of each layer of `features` or `head`, from input to output."""
    numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith(part)})
    return [(tensors[f"{part}.{i}.weight"], tensors[f"{part}.{i}.bias"]) for i in numbers]


def rounded(x: torch.Tensor, levels: list[tuple[float, int, int]]) -> torch.Tensor:
    """The input of the next layer in its codes' values; in float32 without levels."""
    if not levels:
        return x
    scale, zero, top = levels.pop(0)
    return ((x / scale).round() + zero).clamp(0, top).sub(zero).mul(scale)


def logits(path: Path, images: np.ndarray) -> torch.Tensor:
    """What digitnet answers: three stacks of 3x3 convolutions and a pool, then the FC layers."""
    facts, stored = read_file(path)
    if facts["version"] > 2 or facts["spec"]["backbone"].partition("[")[0] != "digitnet":
        raise ValueError(f"{path} is no packed digitnet of version 1 or 2.")
    tensors, few = weights(facts, stored), facts.get("activations", {"bits": 32})
    ends = [stored.get(f"activations.{part}", np.empty(0)).tolist() for part in LEVELS[:2]]
    levels = [(step, zero, (1 << few["bits"]) - 1) for step, zero in zip(*ends, strict=True)]
    x, convolutions = prepared(images, facts["spec"]["input"]), layers(tensors, "features")
    for number, (weight, bias) in enumerate(convolutions, start=1):
        kernels = weight.to(memory_format=torch.channels_last)  # the order of adding floats
        x = functional.conv2d(rounded(x, levels), kernels, bias, padding=1).relu()
        if number % (len(convolutions) // 3) == 0:
            x = functional.max_pool2d(x, 2)
    for weight, bias in layers(tensors, "head"):
        x = functional.linear(rounded(x.flatten(1).relu(), levels), weight, bias)
    return x


if __name__ == "__main__":
    path, images = Path(sys.argv[1]), np.load(sys.argv[2], allow_pickle=False)
    names = read_file(path)[0]["classes"]
    for number, answer in enumerate(logits(path, images).argmax(1).tolist()):
        print(f"image {number}: {answer if names is None else names[answer]}")
