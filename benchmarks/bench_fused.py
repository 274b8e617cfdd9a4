"""What do 64 heads cost together beside 64 heads one by one?

Both train the same heads on the same cached features of one frozen backbone, an epoch at a time:
`trainers.fused.run_epoch` of all, against `FineTuning.run_epoch` of each. They take turns, and
medians over the turns count: the time of the process on its CPU, and the wall clock beside it. The
mean losses of both must agree. One thread; with CUDA, everything again on the GPU.

The heads are drawn from the choices of the space `fc_quant` (one or two hidden layers of 16 to
256, three learning rates), and, as small ones, one hidden layer of 16 to 64. The features: those
of digitnet for scikit-learn's digits (576), and of a ResNet-18 for 4,000 random images (512).

To reach: 2.5 times as fast on one CPU thread.

Run: ``OMP_NUM_THREADS=1 python benchmarks/bench_fused.py``
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from trainers.config import TrialConfig
from trainers.data import DataConfig, ImageData, load_data
from trainers.finetune import FineTuning
from trainers.fused import run_epoch

GOAL = 2.5
WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256)
SECOND_WIDTHS = (16, 32, 64, 128)
RATES = (1e-3, 3e-3, 1e-2)
CLASSES = 10
# Far more than are run: the learning rate hardly falls meanwhile.
EPOCHS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    print(
        f"{options.heads} heads, seconds an epoch (medians of {options.turns})\n"
        f"{'':<34}{'one by one':>18}{'fused':>18}{'ratio':>14}\n"
        f"{'':<34}{'CPU':>9}{'wall':>9}{'CPU':>9}{'wall':>9}{'CPU':>7}{'wall':>7}"
    )
    for device in devices:
        for name, config, data in tasks():
            for kind, hidden in (("small", False), ("fc_quant", True)):
                configs = heads(config, options.heads, two_layers=hidden)
                alone, fused = measured(configs, data, options.turns, torch.device(device))
                ratios = [a / b for a, b in zip(alone, fused, strict=True)]
                numbers = "".join(f"{value:>9.3f}" for value in (*alone, *fused))
                verdict = "" if device != "cpu" or ratios[0] >= GOAL else f"   below {GOAL}"
                print(
                    f"{f'{name}, {kind}, {device}':<34}{numbers}"
                    + "".join(f"{ratio:>6.1f}x" for ratio in ratios)
                    + verdict,
                    flush=True,
                )


def tasks() -> list[tuple[str, TrialConfig, ImageData]]:
    digits = TrialConfig(backbone="digitnet", weights="bundled", epochs=EPOCHS)
    resnet = TrialConfig(backbone="resnet18", weights="scratch", image_size=32, epochs=EPOCHS)
    return [
        ("digits x 576", digits, load_data(DataConfig(name="digits"))),
        ("4,000 x 512", resnet, random_images(4_000, 1_000)),
    ]


def random_images(train: int, val: int) -> ImageData:
    """Noise whose mean brightness tells the class a little."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for subset, count in (("train", train), ("val", val), ("test", CLASSES)):
        labels = np.arange(count) % CLASSES
        noise = rng.integers(0, 160, (count, 3, 32, 32)) + 9 * labels[:, None, None, None]
        arrays |= {f"{subset}_images": noise.astype(np.uint8), f"{subset}_labels": labels}
    return ImageData(name="noise", classes=tuple("0123456789"), **arrays)


def heads(config: TrialConfig, count: int, *, two_layers: bool) -> list[TrialConfig]:
    rng = np.random.default_rng(0)
    choices = WIDTHS if two_layers else WIDTHS[:5]
    configs = []
    for _ in range(count):
        widths = [int(rng.choice(choices))]
        if two_layers and rng.integers(2):
            widths.append(int(rng.choice(SECOND_WIDTHS)))
        rate = float(rng.choice(RATES))
        configs.append(replace(config, widths=tuple(widths), learning_rate=rate))
    return configs


def measured(
    configs: list[TrialConfig], data: ImageData, turns: int, device: torch.device
) -> tuple[list[float], list[float]]:
    """Median CPU and wall seconds of an epoch: one by one, and fused."""
    first = FineTuning(configs[0], data, device=device)
    alone, fused = (
        [FineTuning(config, data, device=device, like=first) for config in configs]
        for _ in range(2)
    )
    times: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    # The first turn makes the optimizers' states and is not counted.
    for _ in range(turns + 1):
        times[False].append(timed(lambda: [training.run_epoch() for training in alone]))
        times[True].append(timed(lambda: run_epoch(fused)))
        losses = [[each.reports[-1].train_loss for each in side] for side in (alone, fused)]
        # On a GPU training in bfloat16 is compared with training in float32.
        assert np.allclose(*losses, rtol=1e-4 if device.type == "cpu" else 0.1), losses
    medians = [
        [statistics.median(column) for column in zip(*times[side][1:], strict=True)]
        for side in (False, True)
    ]
    return medians[0], medians[1]


def timed(run: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


if __name__ == "__main__":
    main()
