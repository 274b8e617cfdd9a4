"""The sides of `bench_tables`: who searches a table, each with a seed and simulated seconds."""

import json
import math
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import psutil  # type: ignore[import-untyped]
from search_loop import Trial, search

from orchestrator.pareto.indicators import mean_difference
from orchestrator.pareto.losses import feasible_rows
from orchestrator.scheduling.milestones import halving_milestones
from orchestrator.simulation.comparing import Scale, SimulatedSweep, compare
from orchestrator.simulation.foreign import TableSweep, sweep_of
from orchestrator.simulation.lookup import TableLookup
from orchestrator.simulation.table import Table
from search_spaces import Choice, Domain

REDUCTION = 3
POINTS = 50
"""Moments of an anytime curve, at equal distances up to the last second."""


@dataclass(frozen=True, slots=True)
class Arena:
    """One table, and what every side has of it.

    Attributes:
        table: What was recorded.
        spec: The space and the objectives.
        slots: Trials that run at once.
        seconds: Simulated seconds that a search has.
        peer_cpu_s: Seconds of a core after which a peer's search ends.
    """

    table: Table
    spec: TableSweep
    slots: int
    seconds: float
    peer_cpu_s: float = math.inf

    @property
    def epochs(self) -> int:
        """Epochs of a training; 0 where only its end was recorded."""
        return max(len(each.reports) for each in self.table.recordings)

    @property
    def has_curves(self) -> bool:
        """Whether an objective was recorded at every epoch, so that trials may be stopped."""
        reports = self.table.recordings[0].reports
        return any(name in report.values for report in reports for name in self.spec.objectives)


Side = Callable[[Arena, int], SimulatedSweep]


def ours(sampler: str, scheduler: str = "fifo", *, blind: bool = False) -> Side:
    """This project, by its driver; `blind` knows no sizes beforehand, as the peers."""

    def run(arena: Arena, seed: int) -> SimulatedSweep:
        budget = {"seconds": arena.seconds, "trials": 10_000_000}
        given: dict[str, Any] = {"sampler": sampler, "budget": budget}
        if scheduler != "fifo":
            given["scheduler"] = {"kind": scheduler, "reduction": REDUCTION}
        if blind:
            given["known"] = []
        spec = sweep_of(arena.table, {**given, "space": arena.spec.space})
        (found,) = compare({"": spec}, arena.table, seeds=[seed], slots=arena.slots)
        return found

    return run


def optuna_side(make: Callable[[int], optuna.samplers.BaseSampler]) -> Side:
    """Plain Optuna: ask and tell, every trial to its end."""

    def run(arena: Arena, seed: int) -> SimulatedSweep:
        return searched(arena, seed, Plain(arena.spec, make(seed)), milestones=())

    return run


def syne_tune_side(python: str, kind: str) -> Side:
    """Syne Tune, in its own Python."""

    def run(arena: Arena, seed: int) -> SimulatedSweep:
        milestones = halving_milestones(1, REDUCTION, arena.epochs) if kind == "moasha" else ()
        with Piped(python, arena, kind, seed) as peer:
            return searched(arena, seed, peer, milestones)

    return run


class Plain:
    """A sampler of Optuna's, asked and told as OptunaSearch does."""

    def __init__(self, spec: TableSweep, sampler: optuna.samplers.BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space, self._objectives = spec.search_space, spec.directed
        directions = [objective.direction.value for objective in spec.directed]
        self._study = optuna.create_study(sampler=sampler, directions=directions)
        self._kinds = {name: _kind(each) for name, each in self._space.domains.items()}
        self._asked: dict[int, optuna.Trial] = {}

    def suggest(self, trial: int) -> dict[str, Any]:
        """Ask for a configuration; what has an order is asked for as its place in it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._asked[trial] = self._study.ask(self._kinds)
        places = self._asked[trial].params
        return {name: self._space.domains[name].at(places[name]) for name in self._kinds}

    def goes_on(self, trial: int, epoch: int, values: Mapping[str, float]) -> bool:
        """Ask for a verdict."""
        raise AssertionError("it has no milestones")

    def complete(self, trial: int, values: Mapping[str, float]) -> None:
        """Tell the end."""
        told = [values[objective.name] for objective in self._objectives]
        self._study.tell(self._asked.pop(trial), told)


def _kind(domain: Domain) -> optuna.distributions.BaseDistribution:
    size = domain.size or 1
    if isinstance(domain, Choice) and not domain.ordered:
        return optuna.distributions.CategoricalDistribution(range(size))
    return optuna.distributions.IntDistribution(0, size - 1)


class Piped:
    """A peer in a process of its own: a line of JSON for each question, and one for its answer."""

    def __init__(self, python: str, arena: Arena, kind: str, seed: int) -> None:
        script = str(Path(__file__).with_name("tables_syne_tune.py"))
        self._process = subprocess.Popen(
            [python, "-W", "ignore", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        domains = arena.spec.search_space.domains.items()
        self._write(
            {
                "kind": kind,
                "seed": seed,
                "space": {
                    name: [list(d.values()), isinstance(d, Choice) and d.ordered]
                    for name, d in domains
                },
                "signs": {each.name: each.loss(1.0) for each in arena.spec.directed},
                "epochs": max(1, arena.epochs),
                "reduction": REDUCTION,
            }
        )

    def __enter__(self) -> "Piped":
        return self

    def used(self) -> float:
        """Seconds of a core that this process and that one have used."""
        times = psutil.Process(self._process.pid).cpu_times()
        return time.process_time() + float(times.user + times.system)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def suggest(self, trial: int) -> dict[str, Any]:
        """Ask for a configuration."""
        return dict(self._asked("suggest", trial))

    def goes_on(self, trial: int, epoch: int, values: Mapping[str, float]) -> bool:
        """Ask for a verdict."""
        return bool(self._asked("goes_on", trial, epoch, dict(values)))

    def complete(self, trial: int, values: Mapping[str, float]) -> None:
        """Tell the end."""
        self._asked("complete", trial, dict(values))

    def _asked(self, name: str, *arguments: object) -> Any:
        self._write([name, arguments])
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            assert self._process.stderr is not None
            raise RuntimeError(self._process.stderr.read()[-2000:])
        return json.loads(line)

    def _write(self, content: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(content) + "\n")
        self._process.stdin.flush()


def searched(arena: Arena, seed: int, peer: Any, milestones: Sequence[int]) -> SimulatedSweep:
    """Let a peer search, and measure it as our own sweeps are."""
    spec, lookup = arena.spec, TableLookup(arena.spec, arena.table)

    def recorded(params: Mapping[str, Any]) -> Trial:
        found = lookup(dict(params), seed)
        reports = [{"values": dict(report.values)} for report in found.reports]
        return {"values": dict(found.values), "reports": reports}

    done, until = search(
        peer,
        recorded,
        milestones=milestones,
        slots=arena.slots,
        seconds=arena.seconds,
        cpu_s=arena.peer_cpu_s,
        used=peer.used if isinstance(peer, Piped) else time.process_time,
        sizes=spec.known,
    )
    scale = Scale.of(spec, arena.table, seed)
    losses = feasible_rows([trial["values"] for _, trial in done], spec.directed, spec.limits)
    moments = np.array([moment for moment, _ in done])
    shares, epsilon = scale.front.shares(losses), scale.front.epsilon(losses)
    volumes = scale.volumes(losses)
    return SimulatedSweep("", seed, 0, 0, until, moments, volumes, shares, epsilon)


def as_record(found: SimulatedSweep, seconds: float) -> dict[str, Any]:
    """What is kept of a search: its end, and its curve."""
    moments = np.linspace(0.0, seconds, POINTS + 1)[1:]
    places = np.searchsorted(found.moments, moments, side="right")
    shares = np.append(0.0, found.shares)[places]
    return {
        "seed": found.seed,
        "complete": found.complete,
        "stopped": found.stopped,
        "until": found.seconds,
        "epsilon": found.epsilon,
        "mean": mean_difference(found.moments, found.shares, seconds),
        "curve": [round(float(share), 6) for share in shares],
    }
