"""How much larger than its content is a packed network, and how fast is it packed and read?

A network in VGG's style with random weights is packed by every quantizer, in every scope, at some
bit-widths. *Ratio* is the file over the ideal: (sum of bits) / 8, levels, and what stays in
float32. *Stored* is the smallest lossless form over the file. Speeds are MB of float32 weights a
second: *pack* is quantizing and writing, *read* is loading a network, *compress* is making the
smallest form. The first table is the bit stream alone.

Run: ``python benchmarks/bench_artifact.py``; half a minute on one core.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from options import parsed

from trainers.artifact import (
    compress_artifact,
    load_artifact,
    predict_bytes,
    read_header,
    read_quantized,
    write_artifact,
)
from trainers.networks.network import Network, build_network
from trainers.quantization import QuantizationConfig
from trainers.quantization.config import QUANTIZERS, SCOPES
from trainers.quantization.packing import pack_codes, unpack_codes

CODES = 10_000_000
MOST = 1.02
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="alexnet")
    parser.add_argument("--widths", type=int, nargs="*", default=[128])
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 4, 8])
    options = parsed(parser, backbone="digitnet", widths=[16])
    torch.set_num_threads(1)
    for bits in options.bits:
        stream_speed(bits)
    network = build_network(options.backbone, weights="scratch", widths=options.widths, classes=10)
    weights = sum(parameter.numel() for parameter in network.parameters())
    print(f"\n{options.backbone}, head {options.widths}: {weights:,} weights, speeds in MB/s")
    print(f"{'quantizer':<11}{'scope':<9}bits   ratio  stored    pack    read  compress")
    worst = max(
        measure(network, QuantizationConfig(bits, bits, quantizer, scope))
        for quantizer, scope, bits in itertools.product(QUANTIZERS, SCOPES, options.bits)
    )
    print(f"\nlargest ratio {worst:.4f}; at most {MOST} is wanted of a large network")
    # The header outweighs it where a network is as small as that of `--quick`.
    assert options.quick or worst <= MOST


def stream_speed(bits: int) -> None:
    """Print how fast codes become a bit stream, and come back, in MB of codes of a byte each."""
    lowest = -(2 ** (bits - 1))
    codes = np.random.default_rng(0).integers(lowest, -lowest, CODES).astype(np.int8)
    packed, pack_s = timed(lambda: pack_codes(codes, bits))
    _, unpack_s = timed(lambda: unpack_codes(packed, bits, CODES))
    megabytes = CODES / 1e6
    print(
        f"{bits} bits: pack {megabytes / pack_s:.0f} MB/s, unpack {megabytes / unpack_s:.0f} MB/s"
    )


def measure(network: Network, config: QuantizationConfig) -> float:
    """Print a row, and give the ratio."""
    with tempfile.TemporaryDirectory(prefix="paretune-bench-") as name:
        path, small = Path(name) / "m", Path(name) / "c"
        info, pack_s = timed(
            lambda: write_artifact(network, path, quantization=config, classes=None)
        )
        _, read_s = timed(lambda: load_artifact(path))
        storage, compress_s = timed(lambda: compress_artifact(path, small))
        ideal = ideal_bytes(network, path)
    assert info.bytes == predict_bytes(network.spec, config, None)
    megabytes = sum(parameter.numel() for parameter in network.parameters()) * 4 / 1e6
    print(
        f"{config.quantizer:<11}{config.scope:<9}{config.bits:>4}{info.bytes / ideal:>8.4f}"
        f"{storage.bytes / info.bytes:>8.3f}{megabytes / pack_s:>8.0f}{megabytes / read_s:>8.0f}"
        f"{megabytes / compress_s:>10.0f}",
        flush=True,
    )
    return info.bytes / ideal


def ideal_bytes(network: Network, path: Path) -> float:
    """What the formula gives of this network: codes, every level once, and the remainder."""
    plans, quantized = read_header(path).quantized.weights, read_quantized(path)
    remainder = sum(parameter.numel() for parameter in network.parameters())
    remainder -= sum(weight.codes.numel() for weight in quantized.values())
    codes = sum(weight.codes.numel() * weight.bits for weight in quantized.values())
    levels = {plans[name].levels: weight.levels for name, weight in quantized.items()}
    parts = [(each.scale, each.zero_point, each.codebook) for each in levels.values()]
    of_levels = sum(part.nbytes for part in itertools.chain(*parts) if part is not None)
    return codes / 8 + of_levels + 4 * remainder


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result and the seconds it took."""
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


if __name__ == "__main__":
    main()
