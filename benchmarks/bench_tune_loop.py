"""What does Ray Tune's own loop cost, at up to 1,000 trials that run at once?

Each trial sleeps and reports, three times, and ends; its actor takes the next one, as paretune
asks of Tune. Counted are seconds of the driver's processor for each report, without what a driver
does with it. 1,000 actors are 1,000 processes, for which one machine has no room. So there are two
kinds of actors: real ones, and stand-ins in the same process that cost next to nothing, so that
what is left is Tune's own. The peer is a loop of `ray.wait` over plain actors: the least that an
executor without Tune would do.

A sleep is long enough that the loop idles where it can: `busy` is the share of the time in which
it did not. Near 1 the loop is the bottleneck, and `reports a second` what it manages.

Run: ``python benchmarks/bench_tune_loop.py`` (``--quick``: few, and no real actors)
"""

import argparse
import heapq
import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import ray
from options import parsed
from ray import tune
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.tune.execution import tune_controller
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from orchestrator.execution.ray_tuning import _TUNE_ENV

REPORTS = 3


class _StandIns:
    """What Tune asks of its `RayActorManager`, for actors that only sleep."""

    def __init__(self, sleep_s: float) -> None:
        self._sleep_s, self._order = sleep_s, count()
        self._due: list[tuple[float, int, TrackedActor, Callable[[], object]]] = []
        self._gone: set[TrackedActor] = set()
        self._live_actors_to_ray_actors_resources: dict[TrackedActor, tuple[Any, Any]] = {}
        self._reported: dict[TrackedActor, int] = {}

    @property
    def num_live_actors(self) -> int:
        return len(self._live_actors_to_ray_actors_resources)

    num_total_actors = num_actor_tasks = num_live_actors

    @property
    def num_pending_actors(self) -> int:
        return 0

    def get_live_actors_resources(self) -> Mapping[str, float]:
        return {"CPU": self.num_live_actors}

    def is_actor_started(self, tracked_actor: TrackedActor) -> bool:
        return tracked_actor in self._live_actors_to_ray_actors_resources

    def is_actor_failed(self, tracked_actor: TrackedActor) -> bool:
        return False

    def add_actor(self, on_start: Any, on_stop: Any, on_error: Any, **rest: Any) -> TrackedActor:
        actor = TrackedActor(next(self._order), on_start, on_stop, on_error)
        metrics = SimpleNamespace(remote=lambda **asked: None)
        handle = SimpleNamespace(get_auto_filled_metrics=metrics)
        self._live_actors_to_ray_actors_resources[actor] = (handle, None)
        self._add(0, actor, lambda: actor._on_start(actor))  # noqa: SLF001 - as RayActorManager does
        return actor

    def schedule_actor_task(
        self,
        tracked_actor: TrackedActor,
        method_name: str,
        on_result: Any = None,
        **rest: Any,
    ) -> None:
        seconds = self._sleep_s if method_name == "train" else 0
        answer = self._answer(tracked_actor) if method_name == "train" else True
        if on_result:
            self._add(seconds, tracked_actor, lambda: on_result(tracked_actor, answer))

    def clear_actor_task_futures(self, tracked_actor: TrackedActor) -> None:
        self._due = [each for each in self._due if each[2] is not tracked_actor]
        heapq.heapify(self._due)

    def remove_actor(self, tracked_actor: TrackedActor, **rest: Any) -> bool:
        self._live_actors_to_ray_actors_resources.pop(tracked_actor, None)
        then = tracked_actor._on_stop  # noqa: SLF001 - as RayActorManager does
        if then:
            self._add(0, tracked_actor, lambda: then(tracked_actor))
        return True

    def cleanup(self) -> None:
        self._due.clear()

    def next(self, timeout: float) -> bool:
        wait = self._due[0][0] - time.monotonic() if self._due else timeout
        if wait > 0:
            time.sleep(min(wait, timeout))
        if not self._due or self._due[0][0] > time.monotonic():
            return False
        heapq.heappop(self._due)[3]()
        return True

    def _add(self, seconds: float, actor: TrackedActor, then: Callable[[], object]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), actor, then))

    def _answer(self, actor: TrackedActor) -> dict[str, object]:
        number = self._reported[actor] = self._reported.get(actor, 0) + 1
        # What Trainable.train adds to a result.
        now = {"time_this_iter_s": 0.1, "time_total_s": 0.1, "timestamp": int(time.time())}
        where = {"pid": 1, "hostname": "h", "node_ip": "127.0.0.1", "config": {}}
        return {**now, **where, "training_iteration": number, "done": False, "steps": {}}


class _Sleeper(tune.Trainable):  # type: ignore[misc]
    """A trial that sleeps."""

    def setup(self, config: Mapping[str, Any]) -> None:
        self._sleep_s = config["sleep_s"]

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        return True

    def step(self) -> dict[str, object]:
        time.sleep(self._sleep_s)
        return {"steps": {}}


class _Few(Searcher):  # type: ignore[misc]
    """Proposes a trial where fewer than `slots` run, until `trials` have been proposed."""

    def __init__(self, slots: int, trials: int, sleep_s: float) -> None:
        super().__init__()
        self.running, self._slots, self._left, self._sleep_s = 0, slots, trials, sleep_s

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if not self._left:
            return str(Searcher.FINISHED)
        if self.running >= self._slots:
            return None
        self.running, self._left = self.running + 1, self._left - 1
        return {"sleep_s": self._sleep_s}

    def on_trial_complete(self, trial_id: str, result: Any = None, **flags: bool) -> None:
        self.running -= 1

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...


class _Enough(FIFOScheduler):  # type: ignore[misc]
    """Ends a trial at its last report."""

    def __init__(self) -> None:
        super().__init__()
        self._reports: dict[str, int] = {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Any) -> str:
        number = self._reports[trial.trial_id] = self._reports.get(trial.trial_id, 0) + 1
        return str(self.STOP if number >= REPORTS else self.CONTINUE)


def by_tune(slots: int, trials: int, sleep_s: float) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        tune.Tuner(
            tune.with_resources(_Sleeper, {"CPU": 1}),
            tune_config=tune.TuneConfig(
                search_alg=_Few(slots, trials, sleep_s),
                scheduler=_Enough(),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=scratch,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        ).fit()


def by_tune_with_stand_ins(slots: int, trials: int, sleep_s: float) -> None:
    def stand_ins(resource_manager: object) -> _StandIns:
        return _StandIns(sleep_s)

    with patch.object(tune_controller, "RayActorManager", stand_ins):
        by_tune(slots, trials, sleep_s)


def by_wait(slots: int, trials: int, sleep_s: float) -> None:
    """The same work without Tune."""

    class Actor:
        def step(self) -> dict[str, object]:
            time.sleep(sleep_s)
            return {"steps": {}}

    left, waiting = trials * REPORTS, {}
    actors: Any = ray.remote(num_cpus=1)(Actor)
    for actor in [actors.remote() for _ in range(slots)]:
        waiting[actor.step.remote()] = actor
        left -= 1
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        actor = waiting.pop(done)
        ray.get(done)
        if left:
            waiting[actor.step.remote()] = actor
            left -= 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, nargs="+", default=[10, 100, 1_000])
    parser.add_argument("--real-slots", type=int, nargs="*", default=[10])
    parser.add_argument("--rounds", type=int, default=3, help="trials of each slot")
    parser.add_argument("--sleep", type=float, default=1.0, help="seconds between reports")
    options = parsed(parser, slots=[4], real_slots=[], rounds=2, sleep=0.05)
    os.environ.update({**_TUNE_ENV, "TUNE_MAX_PENDING_TRIALS_PG": "100000"})
    logging.disable(logging.WARNING)
    cpus = max(options.real_slots, default=1)
    ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False)
    print("running  actors     loop       CPU ms a report  reports a second  busy")
    for slots in options.slots:
        row("stand-ins", "Tune", by_tune_with_stand_ins, slots, options)
    for slots in options.real_slots:
        row("real", "Tune", by_tune, slots, options)
        row("real", "ray.wait", by_wait, slots, options)
    ray.shutdown()


def row(
    actors: str,
    loop: str,
    work: Callable[[int, int, float], None],
    slots: int,
    options: argparse.Namespace,
) -> None:
    trials = slots * options.rounds
    began, used = time.perf_counter(), time.process_time()
    work(slots, trials, options.sleep)
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    reports = trials * REPORTS
    print(
        f"{slots:>7,}  {actors:<9}  {loop:<9} {1e3 * cpu / reports:>16.2f} "
        f"{reports / wall:>17.1f} {cpu / wall:>5.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
