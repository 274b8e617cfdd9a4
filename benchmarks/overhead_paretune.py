"""This project's side of the overhead benchmark."""

import json
import sys
from pathlib import Path

import overhead_work as work
import yaml

from orchestrator import load_sweep, run
from orchestrator.storage.opening import open_store


def main(trials: int, epochs: int) -> None:
    sweep = {
        "name": "bench",
        "backbone": {"name": "digitnet", "weights": "bundled"},
        "data": "digits",
        "space": {name: {"type": "choice", "values": v} for name, v in work.VALUES.items()},
        "training": {"epochs": epochs},
        "objectives": {
            **work.OBJECTIVES,
            "robust_accuracy": {"direction": "maximize", **work.ATTACK},
        },
        "budget": {"trials": trials},
        "execution": {"cache": "off", "fuse": "off"},
    }
    Path("sweep.yaml").write_text(yaml.safe_dump(sweep))
    run(load_sweep("sweep.yaml"))
    # The driver notes a trial's end when its result arrives: a little late, to our disadvantage.
    spans: list[tuple[float, float]] = []
    for trial in open_store().trials("bench"):
        assert trial.ended, f"trial {trial.number} has no end"
        spans.append((trial.ended.timestamp(), trial.values["train_s"] + trial.values["eval_s"]))
    Path(work.SPANS_NAME).write_text(json.dumps(spans))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
