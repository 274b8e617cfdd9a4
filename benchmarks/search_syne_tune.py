"""Syne Tune's MO-ASHA in a simulated search; run by Syne Tune's own Python.

Reads the task as JSON from standard input, and writes, by seed, the moments at which trials were
complete with their numbers in the table, how many were stopped, and when the search ended.
"""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from search_loop import search
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA


class SyneTune:
    """Configurations at random, as MOASHA draws them; its default priority."""

    def __init__(self, task: Mapping[str, Any], seed: int) -> None:
        # Its configurations are drawn from NumPy's global generator.
        np.random.seed(seed)  # noqa: NPY002
        self._signs: dict[str, float] = task["signs"]
        self._scheduler = MOASHA(
            {name: choice(values) for name, values in task["space"].items()},
            metrics=list(self._signs),
            time_attr="epoch",
            max_t=task["epochs"],
            grace_period=task["min_epochs"],
            reduction_factor=task["reduction"],
            random_seed=seed,
        )
        self._trials: dict[int, Trial] = {}
        self.stopped = 0

    def suggest(self, trial: int) -> dict[str, Any]:
        """Ask for a configuration."""
        suggestion = self._scheduler.suggest()
        self._trials[trial] = Trial(trial, suggestion.config, datetime.now())  # noqa: DTZ005
        self._scheduler.on_trial_add(self._trials[trial])
        return dict(suggestion.config)

    def goes_on(self, trial: int, epoch: int, values: Mapping[str, float]) -> bool:
        """Ask for a verdict."""
        measured = {
            name: values.get(f"milestone_{name}", values.get(name)) for name in self._signs
        }
        decision = self._scheduler.on_trial_result(
            self._trials[trial], self._result(measured, epoch)
        )
        stops = bool(decision == SchedulerDecision.STOP)
        self.stopped += stops
        return not stops

    def complete(self, trial: int, values: Mapping[str, float]) -> None:
        """Tell the end."""
        epochs = self._scheduler.max_t
        self._scheduler.on_trial_complete(self._trials[trial], self._result(values, epochs))

    def _result(self, values: Mapping[str, Any], epoch: int) -> dict[str, Any]:
        losses = {name: sign * values[name] for name, sign in self._signs.items()}
        return {**losses, "epoch": epoch}


def main() -> None:
    task = json.load(sys.stdin)
    rows = {json.dumps(row["params"], sort_keys=True): row for row in task["trials"]}
    numbers = {key: number for number, key in enumerate(rows)}
    found = []
    for seed in task["seeds"]:
        peer = SyneTune(task, seed)
        done, until = search(
            peer,
            lambda params: rows[json.dumps(params, sort_keys=True)],
            milestones=task["milestones"],
            slots=task["slots"],
            seconds=task["seconds"],
            cpu_s=task["cpu_s"],
        )
        keys = [(moment, json.dumps(row["params"], sort_keys=True)) for moment, row in done]
        ends = [[moment, numbers[key]] for moment, key in keys]
        found.append({"ends": ends, "stopped": peer.stopped, "until": until})
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
