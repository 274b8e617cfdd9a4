"""Is a network without half of its multiplications faster under onnxruntime?

ResNet-18 from random weights at 64 by 64 pixels: whole, and with a third of its channels removed,
which leaves half of its multiplications. Both are packed in float32, exported, and timed on one
thread and single images; they take turns, and the median run of each counts. Time does not depend
on the weights, so that nothing is trained.

Budget: the whole network takes at least 1.4 times as long (under a minute in all).

Run: ``OMP_NUM_THREADS=1 python benchmarks/bench_channel_pruning.py``
"""

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from trainers.artifact import load_artifact, write_artifact
from trainers.evaluators.counts import count_macs
from trainers.networks.backbones import build_backbone
from trainers.networks.narrowing import layer_sizes
from trainers.networks.network import Network, assemble_network
from trainers.onnx.export import export_onnx
from trainers.onnx.latency import OnnxNetwork, random_pixels
from trainers.pruning.channels import remove_channels
from trainers.quantization import QuantizationConfig

SHARE, SIDE, TURNS, BUDGET = 0.33, 64, 60, 1.4


def built(share: float) -> Network:
    backbone = build_backbone("resnet18", "scratch", image_size=SIDE)
    network = assemble_network(backbone, (), 10)
    if share:
        before = layer_sizes(network.features)
        sample = torch.zeros(1, 3, SIDE, SIDE)
        remove_channels(network, sample, share=share, fixed=network.head)
        after = layer_sizes(network.features)
        narrowed = tuple((name, size) for name, size in after.items() if size != before[name])
        network.spec = replace(network.spec, narrowed=narrowed)
    return network.eval()


def main() -> None:
    torch.set_num_threads(1)
    macs, sessions = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, share in (("whole", 0.0), ("pruned", SHARE)):
            path = Path(folder) / name
            network = built(share)
            write_artifact(network, path, quantization=QuantizationConfig(), classes=None)
            macs[name] = count_macs(load_artifact(path), (3, SIDE, SIDE))
            export_onnx(path, path.with_suffix(".onnx"))
            sessions[name] = OnnxNetwork(path.with_suffix(".onnx"))
        pixels = random_pixels(network.spec.input, 1)
        took: dict[str, list[float]] = {name: [] for name in sessions}
        for turn in range(TURNS + 5):
            for name, session in sessions.items():
                began = time.perf_counter()
                session.logits(pixels)
                if turn >= 5:
                    took[name].append(time.perf_counter() - began)
    medians = {name: 1000 * statistics.median(each) for name, each in took.items()}
    for name in sessions:
        print(f"{name:7} {macs[name] / 1e6:7.1f} M multiplications {medians[name]:7.2f} ms")
    ratio = medians["whole"] / medians["pruned"]
    print(
        f"{macs['pruned'] / macs['whole']:.0%} of the multiplications, {ratio:.2f} times as fast"
    )
    assert ratio >= BUDGET, f"below the budget of {BUDGET}"


if __name__ == "__main__":
    main()
