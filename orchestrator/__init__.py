"""Which fine-tuned networks are the best trade-offs, and which is the smallest that still does?

```python
from orchestrator import load_sweep, open_sweep, pareto_front, run

result = run(load_sweep("sweep.yaml"))
front = open_sweep("digits-fc").front(where="bits <= 4")
front.knee().load_model()
```

Asking about a sweep needs neither Ray nor torch: names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.contracts.callbacks import Callback
    from orchestrator.driver.run_result import RunResult
    from orchestrator.driver.running import resume, run
    from orchestrator.fronts.front import Front
    from orchestrator.fronts.member import FrontMember
    from orchestrator.queries.sweeps import Sweep, list_sweeps, open_sweep, pareto_front
    from orchestrator.spec.files import load_sweep
    from orchestrator.spec.sweep_spec import SweepSpec

_HOMES = {
    "Callback": "contracts.callbacks",
    "Front": "fronts.front",
    "FrontMember": "fronts.member",
    "RunResult": "driver.run_result",
    "Sweep": "queries.sweeps",
    "SweepSpec": "spec.sweep_spec",
    "list_sweeps": "queries.sweeps",
    "load_sweep": "spec.files",
    "open_sweep": "queries.sweeps",
    "pareto_front": "queries.sweeps",
    "resume": "driver.running",
    "run": "driver.running",
}

__all__ = [
    "Callback",
    "Front",
    "FrontMember",
    "RunResult",
    "Sweep",
    "SweepSpec",
    "list_sweeps",
    "load_sweep",
    "open_sweep",
    "pareto_front",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"orchestrator.{_HOMES[name]}"), name)
