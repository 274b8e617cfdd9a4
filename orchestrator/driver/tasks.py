"""What a sweep file asks of each worker, as the task that is sent to it."""

from pathlib import Path

from orchestrator.execution.batches import batches_of
from orchestrator.execution.task import Task
from orchestrator.file_storage.storage import FileStorage
from orchestrator.references import resolved
from orchestrator.search.cost_model import sized_backbones
from orchestrator.spec.own_parts import own_parts
from orchestrator.spec.sharing import shares_trainings
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from trainers.doors import read_code


def task_of(spec: SweepSpec, state: StateFolder) -> Task:
    """Return the task of a sweep's workers.

    >>> spec = SweepSpec.model_validate(
    ...     {
    ...         "name": "a",
    ...         "backbone": {"name": "digitnet", "weights": "scratch"},
    ...         "data": {"name": "digits"},
    ...         "space": {"bits": {"type": "choice", "values": [4, 8]}},
    ...         "objectives": {"accuracy": "maximize"},
    ...         "budget": {"trials": 1},
    ...     }
    ... )
    >>> task_of(spec, StateFolder(Path("/state"))).cache
    '/state/cache'
    """
    parts = tuple(reference for _, reference in own_parts(spec).values())
    return Task(
        data=spec.data_config(),
        backbone=spec.backbone.model_dump(include={"name", "weights", "image_size"}),
        attacks=spec.attacks,
        front_attacks=spec.front_attacks,
        needs=spec.resources.as_needs(),
        max_slots=spec.execution.max_slots,
        autoscaling=spec.execution.autoscaling,
        cache=_cache(spec, state),
        cache_bytes=spec.execution.cache_bytes,
        shares_trainings=shares_trainings(spec),
        batches=batches_of(spec),
        functions=spec.functions,
        parts=parts,
        code=read_code(
            (*spec.functions.values(), spec.data.dataset or "", spec.backbone.name, *parts)
        ),
        sized=sized_backbones(spec),
        sweep=f"{spec.name} {spec.fingerprint()}",
        storage=resolved(spec.storage) if spec.storage else None,
    )


def _cache(spec: SweepSpec, state: StateFolder) -> str | None:
    """Where the stage cache is, for a worker that has another working directory."""
    where = spec.execution.cache
    if where == "off":
        return None
    if where == "auto":
        if spec.storage is None:
            return str(state.cache)
        return FileStorage(spec.storage).address("cache")
    where = resolved(where)
    return where if "://" in where else str(Path(where).expanduser().resolve())
