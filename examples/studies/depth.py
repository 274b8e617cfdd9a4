"""The depth study: a full network, one under the cap of its data, and that one widened.

    python examples/studies/depth.py fashion_mnist --root DIR > report.md

Every network is trained from scratch, on one thread and with the same epochs, and measured on
validation and test images together: nothing is chosen by either. Times are CPU seconds. What was
trained stays in the folder that `--cache` names, so that an interrupted study goes on.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from orchestrator.analysis.depth_analysis import analyze_depth
from orchestrator.analysis.depth_cap import BASIS
from orchestrator.analysis.depth_study import Arm, ArmComparison, compare_arms
from trainers.config import TrialConfig
from trainers.data import DataConfig, ImageData, load_data
from trainers.determinism import seed_everything, set_threads
from trainers.evaluators.accuracy import predict
from trainers.evaluators.counts import count_macs, count_parameters
from trainers.stages.cache import StageCache
from trainers.stages.keys import training_parameters
from trainers.stages.measurements import Measurements
from trainers.training.finetune import FineTuning

_CACHE_BYTES = 1e9


def main() -> None:
    """Print the study as Markdown."""
    given = _arguments()
    where = {"npz": given.data} if given.data.endswith(".npz") else {"name": given.data}
    data = load_data(DataConfig(**where, root=given.root, limit=given.limit))
    entropy = analyze_depth(data)
    shared: dict[str, Any] = {
        "backbone": given.backbone,
        "weights": "scratch",
        "image_size": given.image_size,
        "tune": "all",
        "epochs": given.epochs,
        "batch_size": given.batch_size,
        "widths": (64,),
        "learning_rate": 3e-3,
    }
    cut: dict[str, Any] = {"depth_cap": entropy.cap}
    configs = {
        "full depth": TrialConfig(**shared),
        "capped": TrialConfig(**shared, **cut),
        "capped and widened": TrialConfig(**shared, **cut, width_multiplier="match_params"),
    }
    cache = None if given.cache is None else StageCache(given.cache, _CACHE_BYTES)
    kept = Measurements("depth_study", cache, data=data.content(), facts={})
    arms = [_arm(label, config, data, given.seeds, kept) for label, config in configs.items()]
    print(f"# Full depth against the cap of {data.name}\n")
    print(f"`python examples/studies/depth.py {' '.join(_shown())}`\n")
    train, val, test = (len(data.subset(name)[1]) for name in ("train", "val", "test"))
    print(
        f"Mean entropy {entropy.overall.mean:.3f} nats: cap {entropy.cap} convolution layers in "
        f"each stage, {entropy.conversion.formula(entropy.overall.mean)} ({BASIS}). {train:,} "
        f"training and {val + test:,} other images, {given.epochs} epochs, {given.seeds} seeds, "
        f"batches of {given.batch_size}, inputs of {given.image_size} pixels, from scratch, torch "
        f"{torch.__version__}, one thread.\n"
    )
    for line in _table(arms, compare_arms(arms[0], arms[1:], given.margin), given.margin):
        print(line)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="name of a data set, or an .npz file")
    parser.add_argument("--root", help="where a named data set lies")
    parser.add_argument("--backbone", default="cifar_resnet56")
    parser.add_argument("--image-size", type=int, default=16)
    parser.add_argument("--limit", type=int, default=2400)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--margin", type=float, default=0.02)
    parser.add_argument("--cache", help="a folder for what was trained")
    return parser.parse_args()


def _shown() -> Iterator[str]:
    """Yield the arguments without places of this machine."""
    hidden = False
    for argument in sys.argv[1:]:
        yield "DIR" if hidden else argument.rpartition("/")[2]
        hidden = argument in ("--root", "--cache")


def _arm(label: str, config: TrialConfig, data: ImageData, seeds: int, kept: Measurements) -> Arm:
    """Train a network once per seed, unless that was done before."""
    found = []
    for seed in range(seeds):
        own = TrialConfig.from_mapping({**config.as_mapping(), "seed": seed})
        found.append(kept.value(training_parameters(own), partial(_trained, own, data)))
        accuracy, seconds, *_ = found[-1]
        print(f"{label} {seed}: {accuracy:.4f} {seconds:.1f} s", file=sys.stderr)
    accuracies, seconds, params, macs = zip(*found, strict=True)
    return Arm(label, config.architecture, accuracies, seconds, params[0], macs[0])


def _trained(config: TrialConfig, data: ImageData) -> tuple[float, float, int, int]:
    """Return accuracy, CPU seconds, parameters and multiplications of one training."""
    set_threads(1)
    seed_everything(config.seed)
    training = FineTuning(config, data, device=torch.device("cpu"))
    began = time.process_time()
    while not training.finished:
        training.run_epoch()
    seconds = time.process_time() - began
    parts = [data.subset(name) for name in ("val", "test")]
    images, labels = (np.concatenate(of) for of in zip(*parts, strict=True))
    network = training.network
    right = float((predict(network, images, device="cpu") == labels).mean())
    return right, seconds, count_parameters(network), count_macs(network, images.shape[1:])


def _table(arms: list[Arm], compared: list[ArmComparison], margin: float) -> Iterator[str]:
    yield (
        "| | network | parameters | multiplications | CPU s | saved | accuracy | difference "
        f"| Welch p | Mann-Whitney p | equivalent within {margin:g}, Holm p | |"
    )
    yield "|---" * 12 + "|"
    for arm, found in zip(arms, (None, *compared), strict=True):
        spread = statistics.stdev(arm.accuracies)
        cells = [
            arm.label,
            f"`{arm.network}`",
            f"{arm.params:,}",
            f"{arm.macs:,}",
            f"{statistics.fmean(arm.seconds):.1f}",
            *(["", f"{arm.accuracy:.4f} ± {spread:.4f}", *[""] * 5] if found is None else ()),
        ]
        if found is not None:
            cells += [
                f"{100 * found.saved:.0f} %",
                f"{arm.accuracy:.4f} ± {spread:.4f}",
                f"{found.difference:+.4f}",
                f"{found.p_welch:.3f}",
                f"{found.p_mann_whitney:.3f}",
                f"{found.p_adjusted:.3f}",
                found.verdict(0.05),
            ]
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
