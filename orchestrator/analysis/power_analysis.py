"""How many images and seeds a claim takes: the power over a grid of both."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import Any

from orchestrator.analysis.statistics.power import DISAGREEMENT, power


@dataclass(frozen=True, slots=True)
class Power:
    """The power of one comparison.

    Attributes:
        candidates: Configurations compared with the reference.
        images: Images on which both are measured.
        seeds: Seeds of each configuration.
        power: How likely a network as good as the reference is shown to be not worse.
    """

    candidates: int
    images: int
    seeds: int
    power: float


@dataclass(frozen=True, slots=True)
class PowerReport:
    """The power of every comparison of a grid.

    Attributes:
        margin: Largest loss that does not matter.
        alpha: Accepted probability of a wrong "not worse".
        disagreement: Share of the images on which two equally accurate networks differ.
        rows: By candidates, images and seeds.
    """

    margin: float
    alpha: float
    disagreement: float
    rows: tuple[Power, ...]

    @property
    def kind(self) -> str:
        """The word of the command."""
        return "power"

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to beware of beyond what the command says."""
        return ()

    def inputs(self) -> dict[str, Any]:
        """Return what was asked."""
        given = {"margin": self.margin, "alpha": self.alpha, "disagreement": self.disagreement}
        asked = {
            name: ",".join(dict.fromkeys(str(getattr(row, name)) for row in self.rows))
            for name in ("candidates", "images", "seeds")
        }
        return {**given, **asked}

    def results(self) -> dict[str, float]:
        """Return each power, by what it is of."""
        return {
            f"power_candidates_{row.candidates}_images_{row.images}_seeds_{row.seeds}": row.power
            for row in self.rows
        }

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {**self.inputs(), "rows": self.records()}

    def records(self) -> list[dict[str, Any]]:
        """Return its rows."""
        return [asdict(row) for row in self.rows]


def analyze_power(
    images: Sequence[int],
    seeds: Sequence[int],
    candidates: Sequence[int],
    *,
    margin: float,
    alpha: float = 0.05,
    disagreement: float = DISAGREEMENT,
) -> PowerReport:
    """Estimate the power for each number of candidates, images and seeds.

    Args:
        images: Numbers of validation images.
        seeds: Numbers of seeds of a configuration.
        candidates: Numbers of configurations that are compared with the reference.
        margin: As `orchestrator.analysis.statistics.power.power` takes it, and so the rest.
        alpha: As there.
        disagreement: As there.

    Raises:
        ValueError: A number is out of range.

    >>> report = analyze_power([500, 2000], [3], [1], margin=0.02)
    >>> [row.images for row in report.rows], report.rows[0].power < report.rows[1].power
    ([500, 2000], True)
    """
    of = partial(power, margin=margin, alpha=alpha, disagreement=disagreement)
    rows = [
        Power(many, shown, repeated, of(shown, repeated, many))
        for many, shown, repeated in product(candidates, images, seeds)
    ]
    return PowerReport(margin, alpha, disagreement, tuple(rows))
