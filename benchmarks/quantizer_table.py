"""What do the quantizers keep of a small network, and what does it weigh then?

digitnet with a pyramid head is fine-tuned on `digits`, all of it, and quantized afterwards by each
quantizer at some bit-widths, kernels and FC alike. Printed are the mean accuracy on validation and
the lowest, `memory_bytes` and `storage_bytes`: the table of docs/guides/quantize.md.

Run: ``python benchmarks/quantizer_table.py``; some minutes on one core.
"""

import argparse
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import torch

from trainers.artifact import compress_artifact, load_artifact, write_artifact
from trainers.config import TrialConfig
from trainers.data import ImageData, load_data
from trainers.data.config import DataConfig
from trainers.evaluators.accuracy import accuracy
from trainers.networks.network import Network
from trainers.quantization import QuantizationConfig
from trainers.quantization.config import QUANTIZERS
from trainers.training.finetune import FineTuning

# After training alone, evenly spaced levels of 8 bits are all the same.
LEFT_OUT = {(8, "affine"), (8, "entropy")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 3, 4, 8])
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data(DataConfig(name="digits"))
    networks = [trained(data, seed, options.epochs) for seed in range(options.seeds)]
    unquantized = np.mean([accuracy(network, *data.subset("val")) for network in networks])
    print(f"{options.seeds} seeds, {options.epochs} epochs: {unquantized:.3f} in float32\n")
    print("| bits | quantizer | `channel` | memory | storage | `layer` | memory | storage |")
    print("|--:|---|---|--:|--:|---|--:|--:|")
    for bits, quantizer in product(options.bits, QUANTIZERS):
        if (bits, quantizer) not in LEFT_OUT:
            scopes = [
                cells(networks, data, QuantizationConfig(bits, bits, quantizer, scope))
                for scope in ("channel", "layer")
            ]
            print(f"| {bits} | `{quantizer}` | {' | '.join(scopes)} |", flush=True)


def trained(data: ImageData, seed: int, epochs: int) -> Network:
    """A network before it is quantized."""
    config = TrialConfig(
        backbone="digitnet",
        weights="bundled",
        fc_rule="pyramid",
        tune="all",
        epochs=epochs,
        seed=seed,
    )
    training = FineTuning(config, data, device=torch.device("cpu"))
    while not training.finished:
        training.run_epoch()
    training.finish()
    return training.network.eval()


def cells(networks: list[Network], data: ImageData, config: QuantizationConfig) -> str:
    """Accuracy and sizes of the networks in one form."""
    found, memory, storage = [], [], []
    for network in networks:
        with tempfile.TemporaryDirectory(prefix="paretune-bench-") as name:
            path = Path(name) / "m"
            info = write_artifact(network, path, quantization=config, classes=data.classes)
            storage.append(compress_artifact(path, Path(name) / "c").bytes)
            found.append(accuracy(load_artifact(path), *data.subset("val")))
        memory.append(info.bytes)
    sizes = [f"{np.mean(sizes) / 1e3:.1f} kB" for sizes in (memory, storage)]
    return " | ".join([f"{np.mean(found):.3f} ({min(found):.3f})", *sizes])


if __name__ == "__main__":
    main()
