"""The peer of the overhead benchmark, `plain_stack`, with the trials of both sides."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import overhead_work as work
from plain_stack import tune_by_hand
from ray import tune


def trial(params: dict[str, Any], epochs: int) -> None:
    """One trial: exactly the work that a paretune worker does."""
    from trainers.config import TrialConfig, with_params
    from trainers.data import DataConfig, load_data
    from trainers.evaluators.config import AttackConfig
    from trainers.trial.run import TrialRun
    from trainers.trial.warm_up import warm_up

    # Imports are overhead, not training: they come before the clock of the trial starts.
    warm_up(attacks=True)
    fixed = TrialConfig(
        backbone="digitnet",
        weights="bundled",
        epochs=epochs,
        attacks={"robust_accuracy": AttackConfig(**work.ATTACK)},
    )
    data = load_data(DataConfig(name="digits"))
    run = TrialRun(with_params(fixed, params, seed=0), data, Path.cwd() / "trial")
    while not run.finished:
        run.advance(to_epoch=run.epoch + 1, seconds=0)
    values = dict(run.measure().values)
    tune.report({**values, "ended": time.time()})


def main(trials: int, epochs: int) -> None:
    def train(params: dict[str, Any]) -> None:
        trial(params, epochs)

    results = tune_by_hand(train, work.VALUES, work.OBJECTIVES, trials=trials, at_once=work.CPUS)
    spans = [
        (result.metrics["ended"], result.metrics["train_s"] + result.metrics["eval_s"])
        for result in results
    ]
    Path(work.SPANS_NAME).write_text(json.dumps(spans))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
