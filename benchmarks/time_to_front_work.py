"""The trials of the benchmark of time to the front: one space, one training, for all sides.

``PARETUNE_BENCH_DATA`` says on which real data. ``digits``: scikit-learn's, behind a frozen
digitnet. ``cifar``: the images of CIFAR-10 in the folder ``PARETUNE_BENCH_CIFAR``, which holds
``cifar10*.npz`` and ``resnet20*.th``, behind a frozen ResNet-20. There the attack has an eighth of
the epsilon: a network that was not hardened gets no image right under more, whatever its head.
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
EPOCHS = 30
FC_BITS = 8
CPUS = 2
LOG_NAME = "trials.jsonl"

DATA = os.environ.get("PARETUNE_BENCH_DATA", "digits")
ATTACK: dict[str, Any] = {
    "attack": "pgd",
    "epsilon": {"digits": 8, "cifar": 1}[DATA] / 255,
    "steps": 5,
    "samples": 50,
}


def task() -> dict[str, Any]:
    """Backbone and data, by the keys of a sweep file."""
    if DATA == "digits":
        return {"backbone": {"name": "digitnet", "weights": "bundled"}, "data": {"name": "digits"}}
    folder = Path(os.environ["PARETUNE_BENCH_CIFAR"])
    weights, images = (next(folder.rglob(n)) for n in ("resnet20*.th", "cifar10*.npz"))
    return {
        "backbone": {"name": "cifar_resnet20", "weights": str(weights)},
        "data": {"npz": str(images)},
    }


def trial(params: dict[str, Any], data: Any, folder: Path, seed: int) -> dict[str, float]:
    """One trial as the peers run it: exactly what a worker of this project does, alone."""
    from trainers.config import TrialConfig, with_params
    from trainers.evaluators.config import AttackConfig
    from trainers.trial.run import TrialRun

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
