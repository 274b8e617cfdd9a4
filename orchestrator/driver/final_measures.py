"""What is measured after the search, for the members of the front and the reference alone.

The measures of every trial are repeated on the test images, and the `front_measures` of the spec
are taken on the validation images. Only missing ones are measured: after an interruption, after a
larger budget, or when the spec has new measures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.analysis.outcomes import NoAnswersError, signs_of
from orchestrator.contracts import Executor, FrontJob, Progress, Unmeasured
from orchestrator.driver.loop import SweepLoop
from orchestrator.errors import UsageError
from orchestrator.fronts.front import compute_front
from orchestrator.quantities import quantity
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.trials import Artifact, Trial, TrialState
from trainers.evaluators.config import MASKED


def add_final_measures(
    worker: Executor, loop: SweepLoop, spec: SweepSpec, progress: Progress
) -> None:
    """Measure what is missing, and store the values of each network as they come.

    Ends early when the loop is interrupted.
    """
    jobs = front_jobs(loop.trials, spec)
    if jobs:
        progress.note(f"measuring {len(jobs)} networks: those of the front, and the reference")
    if any(map(_needs_reference, spec.front_measures or ())) and not _references(loop.trials):
        progress.note("there is no complete reference, so that no images are exchanged with it")
    for number, measured in worker.measure_front(jobs, lambda: loop.interrupted):
        if isinstance(measured, Unmeasured):
            # Only this network's final measures are lost: the sweep goes on to its end.
            progress.note(f"trial {number} is not measured any further. {measured.reason}")
        values = measured.values if isinstance(measured, Unmeasured) else measured
        if not values:
            continue
        loop.add_values(number, values)
        if any(values[name] for name in values if name.startswith(MASKED)):
            trial = next(trial for trial in loop.trials if trial.number == number)
            _tell(trial, progress)


def front_jobs(trials: Sequence[Trial], spec: SweepSpec) -> dict[int, FrontJob]:
    """List what is still to be measured, by trial number.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> front_jobs([], spec)
    {}
    """
    front = compute_front(trials, spec.directed, spec.limits)
    # With the other seeds of a member, because a comparison over seeds needs them all.
    members = [dict(member.params) for member in front]
    references, jobs = _references(trials), {}
    for trial in trials:
        survives = trial.is_reference or dict(trial.params) in members
        # The reference too: what a member is compared with is measured on the same images.
        if not survives or trial.state is not TrialState.COMPLETE or trial.artifact is None:
            continue
        # Seeds are compared pairwise, so that another seed's reference would be no substitute.
        reference = references.get(trial.seed)
        lacking = tuple(
            name
            for name in spec.front_attacks
            if name not in trial.values and (reference or not _needs_reference(name))
        )
        test = "test_accuracy" not in trial.values
        if test or lacking:
            jobs[trial.number] = FrontJob(
                trial.artifact.path,
                test,
                lacking,
                reference.path if reference else None,
                sha256=trial.artifact.sha256,
                reference_sha256=reference.sha256 if reference else "",
            )
    return jobs


def check_front_measures(stored: Mapping[str, Any], spec: SweepSpec) -> None:
    """Refuse a front measure whose name meant something else before.

    Args:
        stored: The spec that the sweep was run with before.
        spec: The one that it is to be run with now.

    Raises:
        UsageError: A name was taken away, or means something else now.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> check_front_measures(spec.model_dump(mode="json"), spec)
    """
    before = stored.get("front_measures") or {}
    now = spec.model_dump(mode="json")["front_measures"] or {}
    for name, section in before.items():
        if section != now.get(name):
            raise UsageError(
                f"Networks of {spec.name!r} were measured by front_measures: {name} with other "
                f"settings than the sweep file gives now, and values of different budgets never "
                f"share a name. Leave {name} as it was ({_written(section)}), and write the new "
                f"one under a name of its own."
            )


def _references(trials: Sequence[Trial]) -> dict[int, Artifact]:
    """Artifacts of the complete references, by seed."""
    return {
        trial.seed: trial.artifact
        for trial in trials
        if trial.is_reference and trial.state is TrialState.COMPLETE and trial.artifact
    }


def _needs_reference(name: str) -> bool:
    return quantity(name).needs_reference


def _written(section: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in section.items() if value is not None)


def _tell(trial: Trial, progress: Progress) -> None:
    try:
        signs = signs_of(trial)
    except NoAnswersError:
        # The count is stored; what was found is not.
        return
    for name, sentences in signs.items():
        for sentence in sentences:
            progress.note(f"trial {trial.number}, {name}: {sentence}")
