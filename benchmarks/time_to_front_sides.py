"""The sides of the benchmark of time to the front; each in a process of its own.

``paretune``: a sweep file and `run`. ``plain``: what people glue by hand, `plain_stack`.
``optuna``: a study and a loop.
"""

import sys
from pathlib import Path
from typing import Any

import time_to_front_work as work

# More than a peer will ever be given time for.
_ENDLESS = 100_000


def paretune(log: Path, seed: int) -> None:
    """This project, as a user starts it."""
    import yaml

    from orchestrator import load_sweep, run
    from orchestrator.contracts import Silent
    from orchestrator.trials import Trial, TrialState

    class Log(Silent):
        def trial_ended(self, trial: Trial) -> None:
            if trial.state is TrialState.COMPLETE:
                work.note(log, dict(trial.values))

    sweep = {
        "name": "bench",
        **work.task(),
        "space": {name: {"type": "choice", "values": v} for name, v in work.SPACE.items()},
        "training": {"epochs": work.EPOCHS},
        "quantization": {"fc_bits": work.FC_BITS},
        "objectives": {
            **work.OBJECTIVES,
            "robust_accuracy": {"direction": "maximize", **work.ATTACK},
        },
        "sampler": {"kind": "tpe"},
        "budget": {"trials": len(work.SPACE["fc_width_1"]) * len(work.SPACE["bits"])},
        "seed": seed,
    }
    path = Path("sweep.yaml")
    path.write_text(yaml.safe_dump(sweep))
    run(load_sweep(path), progress=Log())


def plain(log: Path, seed: int) -> None:
    """Ray Tune + OptunaSearch + MLflow, glued by hand."""
    from plain_stack import tune_by_hand
    from ray import tune

    def train(params: dict[str, Any]) -> None:
        values = work.trial(params, work.images(seed), Path.cwd() / "trial", seed)
        work.note(log, values)
        tune.report(values)

    tune_by_hand(train, work.SPACE, work.OBJECTIVES, trials=_ENDLESS, at_once=work.CPUS, seed=seed)


def optuna(log: Path, seed: int) -> None:
    """Plain Optuna in a loop, with all CPUs for torch; nothing is logged."""
    import optuna
    import torch

    torch.set_num_threads(work.CPUS)
    data = work.images(seed)
    study = optuna.create_study(
        directions=list(work.OBJECTIVES.values()), sampler=optuna.samplers.TPESampler(seed=seed)
    )

    def objective(trial: optuna.Trial) -> list[float]:
        params = {name: trial.suggest_categorical(name, v) for name, v in work.SPACE.items()}
        values = work.trial(params, data, Path.cwd() / f"trial-{trial.number}", seed)
        work.note(log, values)
        return [values[name] for name in work.OBJECTIVES]

    study.optimize(objective, n_trials=_ENDLESS)


if __name__ == "__main__":
    side, log, seed = sys.argv[1:]
    {"paretune": paretune, "plain": plain, "optuna": optuna}[side](Path(log), int(seed))
