"""Whether the addresses that a sweep names can be used, as far as that is known without asking."""

from orchestrator.addresses import is_server, tracking_problem
from orchestrator.errors import OrchestratorError
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder


def address_problems(spec: SweepSpec, state: StateFolder) -> list[str]:
    """Find a tracking URI that MLflow refuses, an invalid store, and missing database drivers.

    Args:
        spec: The sweep.
        state: Where it would be tracked by default.

    Returns:
        A sentence for each.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml", settings=["tracking='ftp://mlflow'"])
    >>> [problem.partition(",")[0] for problem in address_problems(spec, StateFolder.find())]
    ["MLflow has no scheme 'ftp'"]
    """
    problems: list[str] = []
    databases: list[str] = []
    if spec.tracking.kind == "mlflow":
        address, _ = state.tracking_address(spec.tracking.uri)
        problem = tracking_problem(address)
        problems += [problem] if problem else []
        databases += [] if problem else [address]
    source = spec.warm_start
    if source is not None:
        databases += [text for text in (source.optuna, source.mlflow) if text and "://" in text]
    return [*problems, *_store_problems(spec), *_driver_problems(databases)]


def _store_problems(spec: SweepSpec) -> list[str]:
    from orchestrator.storage.database import Database

    urls = [spec.store, *([spec.warm_start.store or ""] if spec.warm_start else [])]
    problems = []
    for url in dict.fromkeys(urls):
        if url in ("", "default"):
            continue
        try:
            Database(url)
        except OrchestratorError as error:
            problems.append(str(error))
    return problems


def _driver_problems(addresses: list[str]) -> list[str]:
    from orchestrator.storage.database import driver_problem

    found = [driver_problem(each) for each in addresses if not is_server(each)]
    return [problem for problem in found if problem]
