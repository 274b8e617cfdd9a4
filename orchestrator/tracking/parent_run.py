"""What the parent run shows of all trials: counts, the growth of the front, and the front."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.columns import Floats
from orchestrator.constraints import feasible
from orchestrator.objectives import Objective
from orchestrator.pareto.hypervolume import FIRST_TRIALS, HypervolumeScale, complete_in_order
from orchestrator.pareto.losses import feasible_losses
from orchestrator.spec.stored import spec_constraints, spec_objectives
from orchestrator.tracking.run_content import REFERENCE, milliseconds
from orchestrator.tracking.run_description import NOTE, run_description
from orchestrator.tracking.runs import MetricPoint, RunContent, RunView, from_json_tags, json_tags
from orchestrator.trials import SweepRecord, SweepState, Trial, TrialState


def with_progress(
    content: RunContent, run: RunView, sweep: SweepRecord, trials: Sequence[Trial]
) -> RunContent:
    """Add a description, counts of trials, best values and the hypervolume's history to `content`.

    Hypervolumes are on the scale of the sweep, as in a report and in `Front.hypervolume`. Its
    corner is recorded as a tag of `run` and read back from there, so that a curve keeps one scale
    even if an earlier version placed it by another rule.
    """
    content = replace(content, tags={**content.tags, NOTE: run_description(sweep, trials)})
    complete = complete_in_order(trials)
    if not complete and all(trial.state is not TrialState.FAILED for trial in trials):
        return content
    objectives = spec_objectives(sweep.spec)
    scale = _scale(run, complete, objectives, is_over=sweep.state is not SweepState.RUNNING)
    curve: tuple[MetricPoint, ...] = ()
    tags: Mapping[str, str] = {}
    if scale is not None:
        losses = feasible_losses(complete, objectives, spec_constraints(sweep.spec))
        curve = tuple(_curve(complete, scale.history(losses), sweep))
        tags = json_tags(REFERENCE, scale.point(objectives))
    return replace(
        content,
        tags={**content.tags, **tags},
        curve=curve,
        latest=(*_counts(trials, len(complete), sweep), *_best(complete, objectives, sweep)),
    )


def _scale(
    run: RunView, complete: Sequence[Trial], objectives: Sequence[Objective], *, is_over: bool
) -> HypervolumeScale | None:
    """Place the scale of the curve; None while there are too few trials."""
    known = from_json_tags(run.tags, REFERENCE)
    if isinstance(known, dict):
        return HypervolumeScale.at(known, objectives)
    return HypervolumeScale.of_sweep(complete, objectives, least=1 if is_over else FIRST_TRIALS)


def _curve(
    complete: Sequence[Trial], volumes: Floats, sweep: SweepRecord
) -> Iterator[MetricPoint]:
    for step, (trial, volume) in enumerate(zip(complete, volumes, strict=True), start=1):
        moment = milliseconds(trial.ended or sweep.created)
        yield MetricPoint("hypervolume", float(volume), moment, step)


def _counts(trials: Sequence[Trial], complete: int, sweep: SweepRecord) -> Iterator[MetricPoint]:
    failed = sum(trial.state is TrialState.FAILED for trial in trials)
    moment = _last_end(trials, sweep)
    yield MetricPoint("trials_complete", float(complete), moment, complete)
    yield MetricPoint("trials_failed", float(failed), moment, complete)


def _best(
    complete: Sequence[Trial], objectives: Sequence[Objective], sweep: SweepRecord
) -> Iterator[MetricPoint]:
    """The best value of each objective among feasible trials, each perhaps of another trial."""
    constraints = spec_constraints(sweep.spec)
    allowed = [trial.values for trial in complete if feasible(constraints, trial.values)]
    moment = _last_end(complete, sweep)
    for objective in objectives if allowed else ():
        best = min((values[objective.name] for values in allowed), key=objective.loss)
        yield MetricPoint(objective.name, float(best), moment, len(complete))


def _last_end(trials: Sequence[Trial], sweep: SweepRecord) -> int:
    return milliseconds(max([trial.ended for trial in trials if trial.ended] or [sweep.created]))
