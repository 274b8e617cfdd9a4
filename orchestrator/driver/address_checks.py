"""Whether the addresses that a sweep names can be used, as far as that is known without asking."""

from orchestrator.addresses import is_server, tracking_problem
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.file_storage.storage import storage_problem
from orchestrator.references import resolved, secret_problem
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder


def address_problems(spec: SweepSpec, state: StateFolder) -> list[str]:
    """Find addresses that cannot be used, or that would store a password with the sweep.

    A password in clear, a reference to a variable that is not set, a tracking URI that MLflow
    refuses, an invalid store, a missing database driver.

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
    given = _given(spec)
    for place, text in given.items():
        problems += filter(None, (secret_problem(place, text), _unset(text)))
    if problems:
        return problems
    databases: list[str] = []
    if spec.tracking.kind == "mlflow":
        address, _ = state.tracking_address(spec.tracking.uri)
        problem = tracking_problem(address)
        problems += [problem] if problem else []
        databases += [] if problem else [address]
    learned = [given.get(f"warm_start.{key}", "") for key in ("optuna", "mlflow")]
    databases += [resolved(text) for text in learned if "://" in text]
    storage = storage_problem(spec.storage) if spec.storage else ""
    problems += [storage] if storage else []
    return [*problems, *_store_problems(spec), *_driver_problems(databases)]


def _given(spec: SweepSpec) -> dict[str, str]:
    """The addresses of a sweep file by their keys, as they would be stored."""
    source = spec.warm_start
    found = {
        "store": spec.store,
        "tracking.uri": spec.tracking.uri,
        "execution.cache": spec.execution.cache,
        "storage": spec.storage,
        "warm_start.store": source and source.store,
        "warm_start.mlflow": source and source.mlflow,
        "warm_start.optuna": source and source.optuna,
    }
    return {place: text for place, text in found.items() if text}


def _unset(text: str) -> str:
    try:
        resolved(text)
    except UsageError as error:
        return str(error)
    return ""


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
