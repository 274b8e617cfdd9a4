"""The record of a trial, as ``--format json`` prints it and as a row of a data frame."""

from orchestrator.trials import Trial

Record = dict[str, object]


def trial_record(trial: Trial) -> Record:
    """Describe one trial by plain values; ``artifact`` is a path, as in a front's records.

    >>> from orchestrator.trials import TrialState
    >>> record = trial_record(Trial("digits", 3, {"bits": 4}, 0, TrialState.RUNNING))
    >>> record["trial"], record["state"], record["params"]
    (3, 'running', {'bits': 4})
    """
    return {
        "sweep": trial.sweep,
        "trial": trial.number,
        "state": trial.state.value,
        "params": dict(trial.params),
        "values": dict(trial.values),
        "seed": trial.seed,
        "replicate": trial.replicate,
        "attempts": trial.attempts,
        "failure": f"{trial.failure.kind.value}: {trial.failure.message}"
        if trial.failure
        else None,
        "mlflow_run_id": trial.mlflow_run_id,
        "artifact": trial.artifact.path if trial.artifact else None,
    }
