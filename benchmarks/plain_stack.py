"""The stack that people glue by hand: Ray Tune, OptunaSearch, MLflow. The peer of two benchmarks.

Written as their documentation shows it: a function trainable, a sampler of several objectives, a
callback that logs every trial to MLflow on SQLite.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch


def tune_by_hand(
    train: Callable[[dict[str, Any]], None],
    space: Mapping[str, Sequence[Any]],
    objectives: Mapping[str, str],
    *,
    trials: int,
    at_once: int,
    seed: int | None = None,
) -> tune.ResultGrid:
    """Tune a function, a CPU a trial, in the current folder.

    Args:
        train: Reports its values with `tune.report`.
        space: The choices of each parameter.
        objectives: ``maximize`` or ``minimize``, by the name of the value.
        trials: After how many it ends.
        at_once: How many may run beside each other.
        seed: The sampler's.
    """
    return tune.Tuner(
        tune.with_resources(train, {"CPU": 1}),
        param_space={name: tune.choice(values) for name, values in space.items()},
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(
                metric=list(objectives),
                mode=[direction[:3] for direction in objectives.values()],
                seed=seed,
            ),
            num_samples=trials,
            max_concurrent_trials=at_once,
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
