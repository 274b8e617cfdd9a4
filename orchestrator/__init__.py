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
    from orchestrator.fronts import Front, FrontMember
    from orchestrator.queries import Sweep, list_sweeps, open_sweep, pareto_front
    from orchestrator.running import RunResult, resume, run
    from orchestrator.spec import SweepSpec
    from orchestrator.spec_files import load_sweep

_HOMES = {
    "Front": "fronts",
    "FrontMember": "fronts",
    "RunResult": "running",
    "Sweep": "queries",
    "SweepSpec": "spec",
    "list_sweeps": "queries",
    "load_sweep": "spec_files",
    "open_sweep": "queries",
    "pareto_front": "queries",
    "resume": "running",
    "run": "running",
}

__all__ = [
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
