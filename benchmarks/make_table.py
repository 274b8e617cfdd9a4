"""Record a table for simulated searches: every configuration of a sweep file, trained for real.

Configurations that differ only in what is done after training (``bits``, ``fc_bits``) share one
training, each has its own measurements. Times are seconds of the process on its CPU, so that
others on the machine disturb less. At the epochs of `--measure-at` each configuration is measured
as a worker does at a milestone: quantized, on the validation images, and under a cheap attack.

Run: ``PARETUNE_DATA=shared/data python benchmarks/make_table.py benchmarks/tables/fashion.yaml``;
a quarter of an hour on one free core.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import torch

from orchestrator import load_sweep
from orchestrator.simulation.table import Recording, Table
from orchestrator.simulation.table_files import write_table
from orchestrator.trials import Params, Report
from trainers.artifact import load_artifact, write_artifact
from trainers.config import TrialConfig, with_params
from trainers.data import ImageData, load_data
from trainers.evaluators.accuracy import accuracy
from trainers.evaluators.config import AttackConfig
from trainers.evaluators.counts import count_parameters
from trainers.evaluators.robustness import robust_accuracy
from trainers.training.finetune import FineTuning

AFTER_TRAINING = ("bits", "fc_bits")
CHEAP = AttackConfig("fgsm", 4 / 255, samples=64)
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--measure-at", type=int, nargs="+", default=[1, 3, 9])
    options = parser.parse_args()
    torch.set_num_threads(1)
    spec = load_sweep(options.sweep)
    data, fixed = load_data(spec.data_config()), spec.trial_config()
    grid = sorted(spec.search_space.grid(), key=trained)
    recordings: list[Recording] = []
    for key, same in groupby(grid, key=trained):
        began = time.perf_counter()
        configs = [(params, with_params(fixed, params, seed=spec.seed)) for params in same]
        recordings += recorded(configs, data, options.measure_at)
        print(f"{key}: {time.perf_counter() - began:.0f} s, {len(recordings)} done", flush=True)
        table = Table(tuple(recordings))
        write_table(table, options.sweep.with_suffix(".csv.gz"))


def trained(params: Params) -> str:
    """What decides the training."""
    return str({name: value for name, value in params.items() if name not in AFTER_TRAINING})


def recorded(
    configs: Sequence[tuple[Params, TrialConfig]], data: ImageData, measure_at: Sequence[int]
) -> Iterator[Recording]:
    """Train once, and measure by every configuration."""
    began = time.process_time()
    training = FineTuning(configs[0][1], data, device=CPU)
    start_s = time.process_time() - began
    reports: list[list[Report]] = [[] for _ in configs]
    while not training.finished:
        began = time.process_time()
        report = training.run_epoch()
        epoch = {
            "seconds": rounded(time.process_time() - began),
            "train_loss": rounded(report.train_loss),
            "float_accuracy": rounded(report.float_accuracy),
        }
        for (_, config), own in zip(configs, reports, strict=True):
            measured = milestone(training, config, data) if report.epoch in measure_at else {}
            own.append(Report(report.epoch, {**epoch, **measured}))
    training.finish()
    train_s = start_s + sum(report.values["seconds"] for report in reports[0])
    for (params, config), own in zip(configs, reports, strict=True):
        values = {**packed(training, config, data, config.attacks), "train_s": rounded(train_s)}
        yield Recording(params, config.seed, values, tuple(own))


def milestone(training: FineTuning, config: TrialConfig, data: ImageData) -> dict[str, float]:
    """What a worker measures at a milestone, and what that costs."""
    found = packed(training, config, data, dict.fromkeys(config.attacks, CHEAP))
    wanted = {f"milestone_{name}": found[name] for name in ("accuracy", *config.attacks)}
    return {**wanted, "milestone_s": found["eval_s"]}


def packed(
    training: FineTuning, config: TrialConfig, data: ImageData, attacks: Mapping[str, AttackConfig]
) -> dict[str, float]:
    """Quantize, pack, read back and measure."""
    began = time.process_time()
    images, labels = data.subset("val")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        artifact = write_artifact(
            training.network, path, quantization=config.quantization, classes=data.classes
        )
        network = load_artifact(path)
    values = {"accuracy": accuracy(network, images, labels)}
    for name, attack in attacks.items():
        attacked = robust_accuracy(network, images, labels, attack, seed=0)
        values[name] = attacked.robust_accuracy
    values |= {
        "memory_bytes": artifact.bytes,
        "head_bytes": artifact.head_bytes,
        "backbone_bytes": artifact.backbone_bytes,
        "params": count_parameters(network),
        "eval_s": time.process_time() - began,
    }
    return {name: rounded(value) for name, value in values.items()}


def rounded(value: float) -> float:
    """Digits beyond these say nothing, and cost space."""
    return round(float(value), 4)


if __name__ == "__main__":
    main()
