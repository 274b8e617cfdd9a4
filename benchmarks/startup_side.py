"""The sides of the start-up benchmark, each a process of its own: ``startup_side.py SIDE BEGAN``.

`BEGAN` is the time at which the process was started; a JSON object of seconds goes to the file
`SECONDS_NAME`.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

SECONDS_NAME = "seconds.json"
SLOTS = 2
SWEEP = {
    "name": "bench",
    "backbone": {"name": "digitnet", "weights": "bundled"},
    "data": "digits",
    "space": "fc_quant",
    "training": {"epochs": 12},
    "objectives": {
        "accuracy": "maximize",
        "memory_bytes": "minimize",
        "robust_accuracy": {"direction": "maximize", "attack": "pgd", "epsilon": "8/255"},
    },
    "execution": {"max_slots": SLOTS},
}


def floor(began: float) -> dict[str, float]:
    """Start Ray, and as many actors that import torch; how long until all have."""
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False)

    class Actor:
        def ready(self) -> None:
            import torch  # noqa: F401

    remote: Any = ray.remote(Actor)
    actors = [remote.remote() for _ in range(SLOTS)]
    ray.get([actor.ready.remote() for actor in actors])
    return {"floor_s": time.time() - began}


def front(_: float) -> dict[str, float]:
    """Measure the front of that sweep again, in one process that has imported torch before."""
    from orchestrator.contracts import FrontJob
    from orchestrator.driver.tasks import task_of
    from orchestrator.execution.trial_runner import measure_front
    from orchestrator.spec.files import load_sweep
    from orchestrator.state_folder import StateFolder
    from orchestrator.storage.opening import open_store
    from trainers.data import load_data
    from trainers.trial.warm_up import warm_up

    spec = load_sweep("sweep.yaml")
    warm_up(attacks=True)
    task, data = task_of(spec, StateFolder.find()), load_data(spec.data_config())
    used, networks = 0.0, 0
    for trial in open_store().trials("bench"):
        if "test_accuracy" not in trial.values or trial.artifact is None:
            continue
        job = FrontJob(trial.artifact.path, test=True, measures=tuple(spec.front_attacks))
        began, networks = time.process_time(), networks + 1
        measure_front(job, data, task)
        used += time.process_time() - began
    return {"front_cpu_s": used, "networks": networks}


def main(side: str, began: float) -> None:
    sides: dict[str, Any] = {"floor": floor, "front": front}
    Path(SECONDS_NAME).write_text(json.dumps(sides[side](began)))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
