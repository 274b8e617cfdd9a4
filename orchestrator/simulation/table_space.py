"""What a table says of itself: which values its parameters take, and which way is better."""

import re
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.simulation.table import Table
from orchestrator.trials import Value

_BETTER_HIGH = {"accuracy", "acc", "auc", "f1", "precision", "recall", "score", "sparsity"}
_SIZES = {"params", "macs", "flops", "bytes", "size"}
_BETTER_LOW = {"loss", "error", "err", "nll", "mse", "rmse", "ece", "latency", "energy", *_SIZES}
# Of a training, and no property of what it leaves.
_CURVES_ALONE = {"train"}
_TIMES = {"train_s", "eval_s", "seconds", "milestone_s"}


def space_of(table: Table) -> dict[str, dict[str, Any]]:
    """Infer a space: the values that each parameter takes, numbers in their order.

    A parameter whose value is another one for each configuration is no more than an index: its
    values have no order.

    >>> from orchestrator.simulation.table import Recording
    >>> grid = [{"w": 64, "op": "a"}, {"w": 64, "op": "b"}, {"w": 16, "op": "a"}]
    >>> rows = [Recording(params, 0, {"train_s": 1.0}) for params in grid]
    >>> space_of(Table(tuple(rows)))["w"]
    {'type': 'choice', 'values': [16, 64], 'ordered': True}

    Raises:
        UsageError: Configurations differ in which parameters they have, or there are none.
    """
    found: dict[str, dict[Value, None]] = {}
    names = set(table.recordings[0].params)
    for recording in table.recordings:
        if set(recording.params) != names:
            raise UsageError(
                f"The configurations of {table.source} differ in which parameters they have, and "
                f"what decides that is not recorded: write the space, with its conditions, into a "
                f"short file."
            )
        for name, value in recording.params.items():
            found.setdefault(name, {})[value] = None
    if not found:
        raise UsageError(f"{table.source} has no column params.*, and so nothing to search.")
    return {
        name: _domain(list(values), is_index=len(values) == table.configurations > 2)
        for name, values in found.items()
    }


def _domain(values: list[Value], *, is_index: bool) -> dict[str, Any]:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(values):
        return {"type": "choice", "values": sorted(values, key=str)}
    ordered = len(values) > 1 and not is_index
    return {"type": "choice", "values": sorted(numbers), **({"ordered": True} if ordered else {})}


def directions_of(table: Table) -> dict[str, str]:
    """Guess the objectives from the words in the values' names.

    >>> from orchestrator.simulation.table import Recording
    >>> values = {"val_acc": 0.9, "params": 10, "epochs_run": 3, "train_s": 60.0}
    >>> directions_of(Table((Recording({"net": 1}, 0, values),)))
    {'val_acc': 'maximize', 'params': 'minimize'}

    Raises:
        UsageError: No name has such a word.
    """
    found = {}
    values = table.recordings[0].values
    for name in values:
        words = _words(name)
        if name in _TIMES or words & _CURVES_ALONE:
            continue
        if words & _BETTER_HIGH:
            found[name] = "maximize"
        elif words & _BETTER_LOW:
            found[name] = "minimize"
    if not found:
        raise UsageError(
            f"Which values of {table.source} are objectives cannot be seen in their names, "
            f"{', '.join(values)}: name them, for example --objective {next(iter(values), 'a')}"
            f"=minimize."
        )
    return found


def sizes_of(table: Table) -> list[str]:
    """Name the values that are sizes, and therefore known of a configuration before training.

    >>> from orchestrator.simulation.table import Recording
    >>> sizes_of(Table((Recording({"net": 1}, 0, {"params": 9.0, "loss": 0.1, "train_s": 1.0}),)))
    ['params']
    """
    return [name for name in table.recordings[0].values if _words(name) & _SIZES]


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))
