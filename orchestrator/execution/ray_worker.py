"""The process that trains: a Ray actor that Tune starts once and gives batch after batch."""

import os
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from orchestrator.contracts import Job
from orchestrator.execution.start_barrier import StartBarrier
from orchestrator.execution.task import Task


@dataclass(frozen=True)
class Shared:
    """What all workers of a run share; the images by reference."""

    data: "ray.ObjectRef[Any]"
    barrier: StartBarrier
    task: Task


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """A worker: holds the images and runs one batch of jobs after another."""

    def setup(self, config: dict[str, Any], shared: Shared) -> None:
        """Load torch and the images, once in the life of the worker."""
        from orchestrator.execution.group_runner import GroupRunner
        from orchestrator.execution.trial_runner import stage_cache
        from trainers.trial.warm_up import warm_up

        warm_up(attacks=bool(shared.task.attacks))
        self._barrier = shared.barrier
        self._worker = f"{ray.util.get_node_ip_address()}:{os.getpid()}"
        self._runner = GroupRunner(ray.get(shared.data), stage_cache(shared.task))
        # Not yet at the barrier: Tune learns that this worker has started only after this, and
        # until then would give its trial to another one.
        self._take(config["jobs"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next jobs."""
        self._take(new_config["jobs"])
        self._arrive()
        return True

    def step(self) -> dict[str, Any]:
        """Work for a slice of time."""
        self._arrive()
        if len(self._runner.trials) > 1:
            self._runner.drop(self._barrier.stopped(self._runner.trials))
        steps = self._runner.step()
        if not self._runner.trials:
            self._barrier.wait()
        # Surprise (Ray Tune 2.60): a mapping in a result is flattened on its way.
        return {"steps": tuple(steps.items())}

    def cleanup(self) -> None:
        """Keep the finished epochs of unfinished jobs when Tune releases the worker."""
        self._runner.checkpoint()

    def _take(self, jobs: list[Job]) -> None:
        self._trial = jobs[0].trial
        self._runner.begin(jobs)

    def _arrive(self) -> None:
        self._barrier.arrive(self._worker, self._trial)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: checkpoints belong to the trial's folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing: see `save_checkpoint`."""
