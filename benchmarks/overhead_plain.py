"""The peer of the overhead benchmark: Ray Tune, OptunaSearch and MLflowLoggerCallback, by hand.

Written as their documentation shows it: a function trainable, a sampler of several objectives, a
callback that logs every trial to MLflow on SQLite.
"""

import json
import sys
import time
from pathlib import Path

import overhead_work as work
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch


def train(params: dict) -> None:
    """One trial: exactly the work that a paretune worker does."""
    from trainers.config import TrialConfig, with_params
    from trainers.data import DataConfig, load_data
    from trainers.evaluators.config import AttackConfig
    from trainers.trial import TrialRun
    from trainers.warm_up import warm_up

    # Imports are overhead, not training: they come before the clock of the trial starts.
    warm_up(attacks=True)
    fixed = TrialConfig(
        backbone="digitnet",
        weights="bundled",
        epochs=work.EPOCHS,
        attacks={"robust_accuracy": AttackConfig(**work.ATTACK)},
    )
    data = load_data(DataConfig(name="digits"))
    run = TrialRun(with_params(fixed, params, seed=0), data, Path.cwd() / "trial")
    while not run.finished:
        run.advance(to_epoch=run.epoch + 1, seconds=0)
    values = dict(run.measure().values)
    tune.report({**values, "ended": time.time()})


def main(trials: int) -> None:
    space = {name: tune.choice(values) for name, values in work.VALUES.items()}
    metrics = list(work.OBJECTIVES)
    modes = ["max" if work.OBJECTIVES[name] == "maximize" else "min" for name in metrics]
    results = tune.Tuner(
        tune.with_resources(train, {"CPU": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(metric=metrics, mode=modes),
            num_samples=trials,
            max_concurrent_trials=work.CPUS,
        ),
        run_config=tune.RunConfig(
            storage_path=str(Path.cwd() / "ray"),
            callbacks=[
                MLflowLoggerCallback(
                    tracking_uri=f"sqlite:///{Path.cwd() / 'mlflow.db'}", experiment_name="bench"
                )
            ],
        ),
    ).fit()
    spans = [
        (result.metrics["ended"], result.metrics["train_s"] + result.metrics["eval_s"])
        for result in results
    ]
    Path(work.SPANS_NAME).write_text(json.dumps(spans))


if __name__ == "__main__":
    main(int(sys.argv[1]))
