"""The trials of the benchmark of time to the front: one space, one training, for all sides.

The real data are digits (scikit-learn) behind a frozen digitnet; with ``PARETUNE_BENCH_CIFAR``,
a folder that holds ``cifar10*.npz`` and ``resnet20*.th``, 2,000 images of CIFAR-10 behind a
frozen ResNet-20.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

SPACE = {
    "fc_width_1": [8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512],
    "bits": [2, 3, 4, 6, 8],
}
OBJECTIVES = {
    "accuracy": "maximize",
    "memory_bytes": "minimize",
    "robust_accuracy": "maximize",
}
ATTACK = {"attack": "pgd", "epsilon": 8 / 255, "steps": 5, "samples": 50}
EPOCHS = 30
FC_BITS = 8
CPUS = 2
LOG_NAME = "trials.jsonl"

_CIFAR = os.environ.get("PARETUNE_BENCH_CIFAR")


def task() -> dict[str, Any]:
    """Backbone and data, by the keys of a sweep file."""
    if _CIFAR is None:
        return {"backbone": {"name": "digitnet", "weights": "bundled"}, "data": {"name": "digits"}}
    weights, images = (next(Path(_CIFAR).rglob(n)) for n in ("resnet20*.th", "cifar10*.npz"))
    return {
        "backbone": {"name": "cifar_resnet20", "weights": str(weights)},
        "data": {"npz": str(images), "limit": 2000},
    }


def trial(params: dict[str, Any], data: Any, folder: Path, seed: int) -> dict[str, float]:
    """One trial as the peers run it: exactly what a worker of this project does, alone."""
    from trainers.config import TrialConfig, with_params
    from trainers.evaluators.config import AttackConfig
    from trainers.trial import TrialRun

    backbone = task()["backbone"]
    fixed = TrialConfig(
        backbone=backbone["name"],
        weights=backbone["weights"],
        epochs=EPOCHS,
        fc_bits=FC_BITS,
        attacks={"robust_accuracy": AttackConfig(**ATTACK)},
    )
    run = TrialRun(with_params(fixed, params, seed=seed), data, folder)
    while not run.finished:
        run.advance(to_epoch=run.epoch + 1, seconds=0)
    return dict(run.measure().values)


def images(seed: int) -> Any:
    """The images, read as every side reads them."""
    from trainers.data import DataConfig, load_data

    return load_data(DataConfig(**task()["data"], seed=seed))


def note(log: Path, values: dict[str, float]) -> None:
    """Write down that a trial is over; a line is whole or not there."""
    line = json.dumps({"at": time.time(), **{name: values[name] for name in OBJECTIVES}})
    with log.open("a") as file:
        file.write(line + "\n")
