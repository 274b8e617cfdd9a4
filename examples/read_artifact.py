"""Read a packed digitnet without paretune: numpy, torch and json are enough (1 s, no GPU).

A packed network is one safetensors file: the length of a JSON header (8 bytes, little-endian), the
header, then the tensors' bytes. Its `__metadata__` holds, under `paretune`, the architecture and
which tensors are quantized. `NAME.codes` is a stream of b-bit integers; `NAME.scale` the weight of
one step, `NAME.zero_point` the code of the weight zero, `NAME.codebook` the weight of each code,
for every output channel or once. Of a pruned weight only what is not zero is stored, as codes or
`NAME.values`; `NAME.places` says where it goes. `activations` are levels of the layers' inputs.

Run: `python read_artifact.py model.safetensors images.npy`, the images being uint8 (N, C, H, W).
Output:
    image 0: 7
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

STAGES = 3
LUMA = (0.299, 0.587, 0.114)
LEVELS = ("scale", "zero_point", "codebook")


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description of the network, and the tensors as they are stored."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    facts = json.loads(header.pop("__metadata__")["paretune"])
    stored = {}
    for name, entry in header.items():
        data = content[slice(*(start + place for place in entry["data_offsets"]))]
        dtype = {"F32": "<f4", "I8": "i1", "U8": "u1"}[entry["dtype"]]
        stored[name] = np.frombuffer(data, dtype).reshape(entry["shape"])
    return facts, stored


def unpacked(stream: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Signed integers from a stream of bits, the lowest bit of the first byte coming first."""
    each = np.unpackbits(stream, count=count * bits, bitorder="little").reshape(count, bits)
    values = each @ (1 << np.arange(bits))
    # Two's complement: the highest bit counts negative.
    return np.where(values >= 1 << (bits - 1), values - (1 << bits), values)


def dequantized(codes: np.ndarray, bits: int, levels: dict[str, np.ndarray]) -> np.ndarray:
    """The weights that codes stand for: `(codes - zero point) * scale`, or what is listed."""
    if "codebook" in levels:
        # A row is a group: an output channel, or all of them.
        rows = codes.reshape(len(levels["codebook"]), -1) + (1 << (bits - 1))
        return np.take_along_axis(levels["codebook"], rows, axis=1).reshape(codes.shape)
    one_a_group = (-1, *[1] * (codes.ndim - 1))
    zero = levels.get("zero_point", np.zeros(1)).astype(int).reshape(one_a_group)
    return np.asarray((codes - zero).astype(np.float32) * levels["scale"].reshape(one_a_group))


def places(stream: np.ndarray, entry: dict[str, Any], count: int) -> np.ndarray:
    """Which weights of a pruned tensor are not zero, from a bitmap or the gaps between them."""
    if "gaps" not in entry:
        return np.unpackbits(stream, count=count).astype(bool)
    skip = (1 << entry["gap_bits"]) - 1
    gaps = unpacked(stream, entry["gap_bits"], entry["gaps"]) & skip
    ends = np.flatnonzero(gaps < skip)
    kept = np.zeros(count, bool)
    kept[np.cumsum(gaps)[ends] + np.arange(len(ends))] = True
    return kept


def weights(facts: dict[str, Any], stored: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Float32 tensors by name: decoded, or what is stored as it is."""
    tensors, sparse = {}, facts.get("sparse", {})
    for name in facts["tensors"].keys() | sparse.keys():
        entry = facts["tensors"].get(name) or sparse[name]
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
    whole = [name for name in stored if name.endswith((".weight", ".bias"))]
    return tensors | {name: torch.tensor(stored[name]) for name in whole}


def prepared(images: np.ndarray, wanted: dict[str, Any]) -> Tensor:
    """What the first convolution sees: channels, size and scale as in training."""
    pixels = torch.tensor(images).float() / 255
    if pixels.shape[1] == 3 and wanted["channels"] == 1:
        pixels = (pixels * torch.tensor(LUMA).view(3, 1, 1)).sum(dim=1, keepdim=True)
    size = (wanted["height"], wanted["width"])
    if pixels.shape[-2:] != size:
        shrinks = pixels.shape[-2] > size[0] or pixels.shape[-1] > size[1]
        pixels = functional.interpolate(pixels, size, mode="bilinear", antialias=shrinks)
    mean, std = (torch.tensor(wanted[key]).view(-1, 1, 1) for key in ("mean", "std"))
    return (pixels - mean) / std


def layers(tensors: dict[str, Tensor], part: str) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of each layer of `features` or `head`, from input to output."""
    numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith(part)})
    return [(tensors[f"{part}.{i}.weight"], tensors[f"{part}.{i}.bias"]) for i in numbers]


def rounded(x: Tensor, levels: list[tuple[float, int, int]]) -> Tensor:
    """The input of the next layer in its codes' values; in float32 without levels."""
    if levels:
        scale, zero, top = levels.pop(0)
        x = ((x / scale).round() + zero).clamp(0, top).sub(zero).mul(scale)
    return x


def logits(path: Path, images: np.ndarray) -> Tensor:
    """What digitnet answers: stacks of 3x3 convolutions and a pool, then the FC layers."""
    facts, stored = read_file(path)
    # Of another depth or width it is digitnet[depth=1], digitnet[width=0.5] and the like.
    if (facts["version"], facts["spec"]["backbone"].partition("[")[0]) != (1, "digitnet"):
        raise ValueError(f"{path} is no packed digitnet of version 1.")
    tensors, few = weights(facts, stored), facts.get("activations", {"bits": 32})
    ends = [stored.get(f"activations.{part}", np.empty(0)).tolist() for part in LEVELS[:2]]
    levels = [(step, zero, (1 << few["bits"]) - 1) for step, zero in zip(*ends, strict=True)]
    x = prepared(images, facts["spec"]["input"])
    convolutions = layers(tensors, "features")
    for number, (weight, bias) in enumerate(convolutions, start=1):
        # The layout decides no more than the speed, and the order in which floats are added.
        kernels = weight.to(memory_format=torch.channels_last)
        x = functional.conv2d(rounded(x, levels), kernels, bias, padding=1).relu()
        if number % (len(convolutions) // STAGES) == 0:
            x = functional.max_pool2d(x, 2)
    x = x.flatten(1)
    for weight, bias in layers(tensors, "head"):
        x = functional.linear(rounded(x.relu(), levels), weight, bias)
    return x


if __name__ == "__main__":
    path, images = Path(sys.argv[1]), np.load(sys.argv[2], allow_pickle=False)
    names = read_file(path)[0]["classes"]
    for number, answer in enumerate(logits(path, images).argmax(1).tolist()):
        print(f"image {number}: {answer if names is None else names[answer]}")
