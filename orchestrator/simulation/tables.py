"""Simulated sweeps as a table: one row a variant, over all of its seeds."""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
from rich.table import Table

from orchestrator.pareto.indicators import log_difference
from orchestrator.quantities import NOTHING, duration
from orchestrator.reporting.tables import plain_table
from orchestrator.simulation.comparing import SimulatedSweep


def simulated_table(sweeps: Sequence[SimulatedSweep]) -> Table:
    """Tabulate medians over the seeds, and the speed-up of each variant over the first one.

    A sweep that never reached 99 % counts as slower than all others. The volume is
    measured from behind the whole table. The last two columns measure from just behind the front:
    how much of its own volume is missing, and the additive epsilon in shares of its range.

    >>> import numpy as np
    >>> sweep = SimulatedSweep("as given", 0, 0, 0, 60.0, np.array([60.0]), np.array([1.0]))
    >>> [list(column.cells)[0] for column in simulated_table([sweep]).columns][:5]
    ['as given', '1', '0', '1 min 00 s', '1 min 00 s']
    """
    table = plain_table()
    table.add_column("variant", overflow="fold")
    for heading in ("complete", "stopped", "time", "to 99 %", "reached", "faster", "volume"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("worst", "lacks", "epsilon"):
        table.add_column(heading, justify="right", no_wrap=True)
    variants = list(dict.fromkeys(sweep.variant for sweep in sweeps))
    first = _to_99([sweep for sweep in sweeps if sweep.variant == variants[0]])
    for variant in variants:
        same = [sweep for sweep in sweeps if sweep.variant == variant]
        needed = _to_99(same)
        times = first / needed if math.isfinite(needed) else math.nan
        table.add_row(
            variant,
            f"{median(sweep.complete for sweep in same):.0f}",
            f"{median(sweep.stopped for sweep in same):.0f}",
            duration(median(sweep.seconds for sweep in same)),
            duration(needed),
            f"{sum(math.isfinite(sweep.seconds_to()) for sweep in same)}/{len(same)}",
            NOTHING if not math.isfinite(times) else f"{times:.1f}x",
            f"{100 * median(sweep.volume for sweep in same):.1f} %",
            f"{100 * min(sweep.volume for sweep in same):.1f} %",
            f"{100 * (1 - median(sweep.share for sweep in same)):.2f} %",
            f"{median(sweep.epsilon for sweep in same):.3f}",
        )
    return table


def distance_table(sweeps: Sequence[SimulatedSweep]) -> Table:
    """Tabulate how far sweeps were from a table's front: medians, and quartiles of the first.

    *log diff* is the logarithm to base 10 of the share of the front's volume that is missing in
    the end, *mean* that share on average over the time, both from close behind the front.

    >>> import numpy as np
    >>> one = np.array([60.0])
    >>> sweep = SimulatedSweep("tpe", 0, 0, 0, 60.0, one, one / 60, one / 120, 0.25)
    >>> [list(column.cells)[0] for column in distance_table([sweep]).columns][:6]
    ['tpe', '1', '0', '1 min 00 s', '-0.30', '-0.30 to -0.30']
    """
    table = plain_table()
    table.add_column("variant", overflow="fold")
    for heading in ("complete", "stopped", "time", "log diff", "quartiles", "lacks"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("mean", "epsilon"):
        table.add_column(heading, justify="right", no_wrap=True)
    for variant in dict.fromkeys(sweep.variant for sweep in sweeps):
        same = [sweep for sweep in sweeps if sweep.variant == variant]
        differences = [log_difference(sweep.share) for sweep in same]
        low, high = np.quantile(differences, [0.25, 0.75])
        table.add_row(
            variant,
            f"{median(sweep.complete for sweep in same):.0f}",
            f"{median(sweep.stopped for sweep in same):.0f}",
            duration(median(sweep.seconds for sweep in same)),
            f"{median(differences):.2f}",
            f"{low:.2f} to {high:.2f}",
            f"{100 * (1 - median(sweep.share for sweep in same)):.2f} %",
            f"{100 * median(sweep.mean_difference for sweep in same):.1f} %",
            f"{median(sweep.epsilon for sweep in same):.3f}",
        )
    return table


def _to_99(sweeps: Sequence[SimulatedSweep]) -> float:
    return median(sweep.seconds_to() for sweep in sweeps)
