"""What the parent run shows of all trials together: counts, the front's growth, the front."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from orchestrator.objectives import Objective
from orchestrator.pareto.dominance import reference_point
from orchestrator.pareto.hypervolume import (
    Floats,
    complete_in_order,
    hypervolume_history,
    losses_of,
)
from orchestrator.spec.stored import spec_constraints, spec_objectives
from orchestrator.tracking.run_content import REFERENCE, milliseconds
from orchestrator.tracking.run_description import run_description
from orchestrator.tracking.runs import MetricPoint, RunContent, RunView, from_json_tags, json_tags
from orchestrator.trials import SweepRecord, SweepState, Trial, TrialState

NOTE = "mlflow.note.content"  # MLflow shows it as the run's description
REFERENCE_TRIALS = 8
"""Usable trials from which the hypervolume's reference point is fixed while a sweep runs. Of one
trial alone it would lie so close that a trial worse in any objective would count for nothing."""


def with_progress(
    content: RunContent, run: RunView, sweep: SweepRecord, trials: Sequence[Trial]
) -> RunContent:
    """`content` with a description, counts of trials, and the hypervolume after each complete one.

    Hypervolumes can be compared only at one reference point. It is placed once, behind the first
    trials that meet the constraints, and recorded as a tag of `run`, where it is found again.
    """
    content = replace(content, tags={**content.tags, NOTE: run_description(sweep, trials)})
    complete = complete_in_order(trials)
    if not complete and all(trial.state is not TrialState.FAILED for trial in trials):
        return content
    objectives = spec_objectives(sweep.spec)
    losses = losses_of(complete, objectives, spec_constraints(sweep.spec))
    tag = _reference_tag(run, losses, objectives, is_over=sweep.state is not SweepState.RUNNING)
    curve: tuple[MetricPoint, ...] = ()
    if tag is not None:
        corner = np.array([each.loss(tag[each.name]) for each in objectives])
        curve = tuple(_curve(complete, hypervolume_history(losses, corner), sweep))
    return replace(
        content,
        tags={**content.tags, **(json_tags(REFERENCE, tag) if tag else {})},
        curve=curve,
        latest=tuple(_counts(trials, len(complete), sweep)),
    )


def _reference_tag(
    run: RunView, losses: Floats, objectives: Sequence[Objective], *, is_over: bool
) -> Mapping[str, float] | None:
    """The reference point as values by objective; None while there are too few trials."""
    known = from_json_tags(run.tags, REFERENCE)
    if isinstance(known, dict):
        return known
    usable = losses[np.isfinite(losses).all(axis=1)][:REFERENCE_TRIALS]
    if len(usable) == 0 or (len(usable) < REFERENCE_TRIALS and not is_over):
        return None
    corner = reference_point(usable)
    # Turning a value into a loss twice gives the value.
    return {each.name: each.loss(float(x)) for each, x in zip(objectives, corner, strict=True)}


def _curve(
    complete: Sequence[Trial], volumes: Floats, sweep: SweepRecord
) -> Iterator[MetricPoint]:
    for step, (trial, volume) in enumerate(zip(complete, volumes, strict=True), start=1):
        moment = milliseconds(trial.ended or sweep.created)
        yield MetricPoint("hypervolume", float(volume), moment, step)


def _counts(trials: Sequence[Trial], complete: int, sweep: SweepRecord) -> Iterator[MetricPoint]:
    failed = sum(trial.state is TrialState.FAILED for trial in trials)
    moment = milliseconds(max([trial.ended for trial in trials if trial.ended] or [sweep.created]))
    yield MetricPoint("trials_complete", float(complete), moment, complete)
    yield MetricPoint("trials_failed", float(failed), moment, complete)
