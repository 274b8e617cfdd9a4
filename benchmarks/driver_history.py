"""A sweep's past for bench_driver.py: complete trials that no driver of this run has driven."""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from sqlalchemy import create_engine, insert, select

from orchestrator.storage.tables import attempts, reports, sweeps, trial_values, trials
from orchestrator.trials import Params, Report
from search_spaces import SearchSpace

CHUNK = 5_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)

Answer = tuple[Mapping[str, float], tuple[Report, ...]]


def fill(url: str, space: SearchSpace, count: int, answer: Callable[[Params], Answer]) -> None:
    """Add complete trials to the one sweep of a store, until it has so many.

    Args:
        url: Of the store; its sweep has at least one complete trial.
        space: Where their parameters are drawn.
        count: Trials, those that are there included.
        answer: Gives values and reports of a configuration.
    """
    engine, draw = create_engine(url), random.Random(0)  # noqa: S311 - no secret
    with engine.begin() as connection:
        sweep = connection.scalar(select(sweeps.c.id))
        like = connection.execute(select(trials).order_by(trials.c.number.desc())).first()
        assert like is not None
        first = like.number + 1
        for begin in range(first, count, CHUNK):
            rows: list[dict[str, object]] = []
            epochs: list[dict[str, object]] = []
            measured: list[dict[str, object]] = []
            for number in range(begin, min(begin + CHUNK, count)):
                params = {name: space.domains[name].sample(draw) for name in space.names}
                values, told = answer(params)
                key = like.id + 1 + number - first
                own = {"id": key, "number": number, "params": params}
                rows.append({**like._mapping, **own, "created": NOW, "ended": NOW})  # noqa: SLF001
                for report in told:
                    given = {"epoch": report.epoch, "values": dict(report.values)}
                    epochs.append({"trial_id": key, "sweep_id": sweep, **given})
                for name, value in values.items():
                    measured.append({"trial_id": key, "name": name, "value": value})
            run = {"number": 0, "state": "complete", "worker": "w", "started": NOW, "ended": NOW}
            connection.execute(insert(trials), rows)
            connection.execute(insert(attempts), [{"trial_id": r["id"], **run} for r in rows])
            connection.execute(insert(reports), epochs)
            connection.execute(insert(trial_values), measured)
    engine.dispose()
