"""Read a packed digitnet without paretune: numpy, torch and json are enough (1 s, no GPU).

A packed network is one safetensors file: the length of a JSON header (8 bytes, little-endian), the
header, then the tensors' bytes. Its `__metadata__` holds, under `paretune`, the architecture and
which tensors are quantized. `NAME.codes` is a stream of b-bit integers; `NAME.scale` the weight of
one step, `NAME.zero_point` the code of the weight zero, `NAME.codebook` the weight of each code,
for every output channel or once. Of a pruned weight only what is not zero is stored, as codes or
`NAME.values`; `NAME.places` says where it goes. This file is the whole of what a device has to do.

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


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description of the network, and the tensors as they are stored."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    facts = json.loads(header.pop("__metadata__")["paretune"])
    stored = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        dtype = {"F32": "<f4", "I8": "i1", "U8": "u1"}[entry["dtype"]]
        array = np.frombuffer(content[start + first : start + last], dtype)
        stored[name] = array.reshape(entry["shape"])
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
    if "zero_point" in levels:
        codes = codes - levels["zero_point"].astype(int).reshape(one_a_group)
    found: np.ndarray = codes.astype(np.float32) * levels["scale"].reshape(one_a_group)
    return found


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
    tensors, used, sparse = {}, set(), facts.get("sparse", {})
    for name in facts["tensors"].keys() | sparse.keys():
        entry = facts["tensors"].get(name) or sparse[name]
        kept, found = np.ones(entry["shape"], bool), np.zeros(entry["shape"], np.float32)
        if name in sparse:
            kept = places(stored[f"{name}.places"], sparse[name], kept.size).reshape(kept.shape)
        owner, parts = entry.get("levels", name), ("scale", "zero_point", "codebook")
        if f"{name}.values" in stored:
            found[kept] = stored[f"{name}.values"]
        else:
            levels = {p: stored[f"{owner}.{p}"] for p in parts if f"{owner}.{p}" in stored}
            codes = np.zeros(kept.shape, int)
            codes[kept] = unpacked(stored[f"{name}.codes"], entry["bits"], kept.sum())
            found[kept] = dequantized(codes, entry["bits"], levels)[kept]
        tensors[name] = torch.tensor(found)
        used |= {f"{owner}.{part}" for part in parts}
        used |= {f"{name}.{part}" for part in ("codes", "places", "values")}
    return tensors | {name: torch.tensor(stored[name]) for name in stored.keys() - used}


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


def logits(path: Path, images: np.ndarray) -> Tensor:
    """What digitnet answers: stacks of 3x3 convolutions and a pool, then the FC layers."""
    facts, stored = read_file(path)
    # Of another depth or width it is digitnet[depth=1], digitnet[width=0.5] and the like.
    backbone = facts["spec"]["backbone"].partition("[")[0]
    if facts["version"] != 1 or backbone != "digitnet" or "activations" in facts:
        raise ValueError(f"{path} is no packed digitnet of version 1 with float activations.")
    tensors = weights(facts, stored)
    x = prepared(images, facts["spec"]["input"])
    convolutions = layers(tensors, "features")
    for number, (weight, bias) in enumerate(convolutions, start=1):
        # The layout decides no more than the speed, and the order in which floats are added.
        kernels = weight.to(memory_format=torch.channels_last)
        x = functional.conv2d(x, kernels, bias, padding=1).relu()
        if number % (len(convolutions) // STAGES) == 0:
            x = functional.max_pool2d(x, 2)
    x = x.flatten(1)
    *hidden, last = layers(tensors, "head")
    for weight, bias in hidden:
        x = functional.linear(x, weight, bias).relu()
    return functional.linear(x, *last)


def main() -> None:
    """Classify the images of a file."""
    path, images = Path(sys.argv[1]), np.load(sys.argv[2], allow_pickle=False)
    names = read_file(path)[0]["classes"]
    for number, answer in enumerate(logits(path, images).argmax(1).tolist()):
        print(f"image {number}: {answer if names is None else names[answer]}")


if __name__ == "__main__":
    main()
