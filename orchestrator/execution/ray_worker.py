"""The process that trains: a Ray actor that Tune starts once and gives batch after batch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune

from orchestrator.contracts import Job, News
from orchestrator.execution.carried_files import (
    CarriedFile,
    moved,
    read_files,
    removed,
    sees,
)
from orchestrator.execution.checkpoint_copies import CheckpointCopies
from orchestrator.execution.start_barrier import StartBarrier
from orchestrator.execution.task import Task
from orchestrator.execution.trial_step import Step
from orchestrator.execution.trial_storage import in_storage, kept_in
from orchestrator.execution.waiting import begun
from orchestrator.logs.catching import LineCatcher
from orchestrator.state_folder import node_folder
from trainers.stages.use import CacheUse


@dataclass(frozen=True)
class Shared:
    """What all workers of a run share; the images by reference.

    Attributes:
        marker: A file of the driver's state folder, by which a worker knows whether it sees it.
        key: Of the `Waiting` that waits for the first worker.
    """

    data: "ray.ObjectRef[Any]"
    barrier: StartBarrier
    task: Task
    marker: Path | None = None
    key: str = ""


def node_task(task: Task) -> Task:
    """Return the task as a node without the driver's folder has it: its own stage cache.

    A cache that all nodes reach stays where it is: one with a URL, and that of the storage.
    """
    if task.cache is None or "://" in task.cache:
        return task
    storage = kept_in(task.storage)
    if storage is not None and storage.holds(task.cache):
        return task
    # Entries are found by content, so that sweeps share it.
    return replace(task, cache=str(node_folder("stages")))


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """A worker: holds the images and runs one batch of jobs after another."""

    def setup(self, config: dict[str, Any], shared: Shared) -> None:
        """Load torch and the images, once in the life of the worker."""
        begun(shared.key)
        from orchestrator.execution.group_runner import GroupRunner
        from orchestrator.execution.preparation import images_here, take_in
        from orchestrator.execution.trial_runner import stage_cache
        from trainers.training.devices import bound_memory
        from trainers.trial.warm_up import warm_up

        warm_up(attacks=bool(shared.task.attacks))
        bound_memory(shared.task.needs.gpus)
        take_in(shared.task)
        self._barrier, self._is_placed = shared.barrier, False
        self._worker = f"{ray.util.get_node_ip_address()}:{os.getpid()}"
        sees_folder = sees(shared.marker)
        task = shared.task if sees_folder else node_task(shared.task)
        # Not "_storage", which is Tune's.
        self._kept = kept_in(task.storage)
        self._copies = CheckpointCopies(self._kept)
        self._sees_folder = sees_folder and self._kept is None
        data = images_here(ray.get(shared.data), shared.task)
        self._sweep = "" if self._sees_folder else f"{task.sweep} {data.content()}"
        self._cache = stage_cache(task)
        self._runner = GroupRunner(data, self._cache)
        self._catcher, self._used = LineCatcher(), CacheUse()
        # Not yet at the barrier: Tune learns that this worker has started only after this, and
        # until then would give its trial to another one.
        self._take(config["jobs"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next jobs."""
        self._take(new_config["jobs"])
        self._arrive()
        return True

    def step(self) -> dict[str, Any]:
        """Work for a slice of time; before the first of new jobs, only say where they are."""
        self._arrive()
        if not self._is_placed:
            self._is_placed = True
            return {"steps": (), "worker": worker_name(), "news": self._news()}
        if len(self._runner.trials) > 1:
            self._runner.drop(self._barrier.stopped(self._runner.trials))
        steps = self._runner.step()
        if not self._runner.trials:
            self._barrier.wait()
        # Surprise (Ray Tune 2.60): a mapping in a result is flattened on its way.
        sent = tuple(self._sent(steps).items())
        return {"steps": sent, "worker": worker_name(), "news": self._news()}

    def _news(self) -> News:
        """What is new besides results."""
        use = CacheUse() if self._cache is None else self._cache.use
        news = News(self._catcher.taken(), use - self._used)
        self._used = use
        return news

    def cleanup(self) -> None:
        """Keep the finished epochs of unfinished jobs when Tune releases the worker."""
        self._runner.checkpoint()
        for number, here in self._here.items():
            self._copies.keep(self._folders[number], here, now=True)

    def _take(self, jobs: list[Job]) -> None:
        self._trial = jobs[0].trial
        self._folders = {job.trial: job.folder for job in jobs}
        here = jobs if self._sees_folder else [_on_node(job, self._sweep) for job in jobs]
        self._here = {job.trial: Path(job.folder) for job in here}
        for number, folder in self._here.items():
            self._copies.fetch(self._folders[number], folder)
        self._runner.begin(here)
        # If the node dies before their first epoch, the driver must know which node it was.
        self._is_placed = False

    def _sent(self, steps: Mapping[int, Step]) -> Mapping[int, Step]:
        """The steps as the driver is to see them: with the files that it does not see."""
        if self._sees_folder:
            return steps
        return {number: self._with_files(number, step) for number, step in steps.items()}

    def _with_files(self, number: int, step: Step) -> Step:
        if step.outcome is None:
            self._copies.keep(self._folders[number], self._here[number])
        if self._kept is not None:
            step = in_storage(step, self._kept, self._folders[number], self._here[number])
        outcome = step.outcome
        if outcome is None or outcome.artifact is None:
            return step
        files: tuple[CarriedFile, ...] = ()
        artifact = outcome.artifact
        if self._kept is None or not self._kept.holds(artifact.path):
            artifact = moved(artifact, self._folders[number])
            files = read_files(self._here[number])
        removed(self._here[number])
        self._copies.drop(self._folders[number])
        return replace(step, outcome=replace(outcome, artifact=artifact), files=files)

    def _arrive(self) -> None:
        self._barrier.arrive(self._worker, self._trial)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Do nothing: checkpoints belong to the trial's folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Do nothing: see `save_checkpoint`."""


def worker_name() -> str:
    """Return what an attempt records of this process: its address, its number, and its node."""
    node = ray.get_runtime_context().get_node_id()
    return f"ray {ray.util.get_node_ip_address()}:{os.getpid()} node {node}"


def _on_node(job: Job, sweep: str) -> Job:
    """The job with a folder of this node: the same for each attempt, wherever the driver runs.

    Args:
        job: As the driver made it.
        sweep: Its name, its fingerprint, and the content of its images.
    """
    return replace(job, folder=str(node_folder(f"{sweep} {job.trial} {job.config!r}")))
