"""What a sweep over somebody else's table meets: a recording for each configuration."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from orchestrator.columns import Floats
from orchestrator.simulation.foreign import TableSweep
from orchestrator.simulation.table import Recording, Table
from orchestrator.trials import Params, Report, Value
from search_spaces import Choice, Domain, SearchSpace
from trainers.evaluators.config import AT_MILESTONE

# More configurations are not listed to find those that were not recorded.
_MOST_LISTED = 100_000


class TableLookup:
    """Gives the recording of a configuration, or of the nearest one that was recorded.

    Distances are counted parameter by parameter: 1 from the lowest value of a range to its
    highest, and 1 between two values that have no order.

    Args:
        spec: The sweep; its objectives are judged at milestones where the table has their curves.
        table: What was recorded.
    """

    def __init__(self, spec: TableSweep, table: Table) -> None:
        self._space, self._table, self._seed = spec.search_space, table, spec.seed
        self._objectives, self._known = tuple(spec.objectives), tuple(spec.known)
        self._recorded: list[Params] = []
        self._places: Floats = np.empty((0, 0))

    def __call__(self, params: Params, seed: int) -> Recording:
        """Return the recording with a seed, its epochs with what a milestone would measure."""
        recording = self._table.recording(self._recorded_near(params), seed)
        return replace(recording, reports=tuple(map(self._with_milestone, recording.reports)))

    def known(self, params: Params) -> Mapping[str, float]:
        """Return what is known of a configuration before it is trained."""
        if not self._known:
            return {}
        values = self._table.recording(self._recorded_near(params), self._seed).values
        return {name: values[name] for name in self._known}

    def _with_milestone(self, report: Report) -> Report:
        measured = {
            f"{AT_MILESTONE}{name}": report.values[name]
            for name in self._objectives
            if name in report.values
        }
        return Report(report.epoch, {**measured, **report.values})

    def _recorded_near(self, params: Params) -> Params:
        if params in self._table:
            return params
        if not self._recorded:
            each = (next(iter(seeds.values())) for seeds in self._table.by_configuration())
            self._recorded = [recording.params for recording in each]
            self._places = np.array([_place(self._space, each) for each in self._recorded])
        apart = np.abs(self._places - np.array(_place(self._space, params)))
        # A parameter that only one of both has is as far apart as can be.
        distances = np.where(np.isnan(apart), 1.0, np.minimum(apart, 1.0)).sum(axis=1)
        return self._recorded[int(np.argmin(distances))]


def holes(space: SearchSpace, table: Table) -> int:
    """Count the configurations of a space that were not recorded; 0 for one that is too large.

    >>> from orchestrator.simulation.table import Recording
    >>> from search_spaces import load_space
    >>> holes(load_space("smoke"), Table((Recording({"bits": 4}, 0, {"train_s": 1.0}),)))
    4
    """
    if space.size is None or space.size > _MOST_LISTED or space.size == table.configurations:
        return 0
    return sum(params not in table for params in space.grid())


def _place(space: SearchSpace, params: Params) -> list[float]:
    return [
        _scaled(domain, params[name]) if name in params else math.nan
        for name, domain in space.domains.items()
    ]


def _scaled(domain: Domain, value: Value) -> float:
    if isinstance(domain, Choice):
        place = next((i for i, each in enumerate(domain.options) if each == value), math.inf)
        return place / max(1, domain.size - 1) if domain.ordered else 2.0 * place
    low, high, number = float(domain.low), float(domain.high), float(value)
    if domain.log:
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / ((high - low) or 1.0)
