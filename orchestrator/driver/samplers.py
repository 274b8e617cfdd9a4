"""The sampler of a run: by name, by code of a user's own, or an object that was passed."""

from orchestrator.contracts import KnownValues, Prepared, Sampler, nothing_known
from orchestrator.driver.first_bits import allocation_prior
from orchestrator.driver.suggested_cap import depth_prior
from orchestrator.errors import UsageError
from orchestrator.sampling import Setting, build_sampler, check_sampler
from orchestrator.spec.code_content import with_code
from orchestrator.spec.run_sections import BudgetSection
from orchestrator.spec.sampler_section import OBJECT, SamplerSection
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.doors import is_reference, say_if_slow


def with_checked_sampler(spec: SweepSpec, passed: object) -> SweepSpec:
    """Return a spec that says which object was passed as its sampler, if one was.

    Raises:
        UsageError: As `check_samplers`.

    >>> from optuna.samplers import RandomSampler
    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> with_checked_sampler(spec, RandomSampler()).sampler.kind
    'object:RandomSampler'
    """
    if passed is not None:
        kind = SamplerSection(kind=f"{OBJECT}{type(passed).__name__}")
        spec = spec.model_copy(update={"sampler": kind})
    check_samplers(spec, passed)
    return spec


def check_samplers(spec: SweepSpec, passed: object = None) -> None:
    """Refuse a sampler that cannot propose; code of a user's own proposes once.

    Raises:
        UsageError: The message says what is wrong.

    >>> from orchestrator.spec.files import load_sweep
    >>> options = ["sampler={kind: tpe, options: {n_startup: 3}}"]
    >>> check_samplers(load_sweep("examples/sweeps/digits.yaml", settings=options))
    Traceback (most recent call last):
    orchestrator.errors.UsageError: The sampler tpe has no option n_startup. It has ...
    """
    section, space = spec.sampler, spec.search_space
    check_sampler(section.kind, space, section.given)
    if section.kind.startswith(OBJECT) and passed is None:
        raise UsageError(
            f"The sampler of {spec.name!r} was passed to run() as an object, a "
            f"{section.kind.removeprefix(OBJECT)}, and is not there: pass it again, as in "
            f"run(spec, sampler=...)."
        )
    if passed is None and not is_reference(section.kind):
        return
    if passed is not None:
        # Not asked: it would remember the question.
        sampler_of(spec, nothing_known, passed)
        return
    with say_if_slow(f"sampler: {section.kind}"):
        sampler_of(spec, nothing_known).suggest()


def sampler_of(spec: SweepSpec, known: KnownValues, passed: object = None) -> Sampler:
    """Build the sampler of a sweep.

    Args:
        spec: The sweep.
        known: What is known of a configuration before training.
        passed: A sampler, one of Optuna's, or a function that makes one; None for the spec's.

    Raises:
        UsageError: It cannot be built.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> type(sampler_of(spec, nothing_known)).__name__
    'OptunaSampler'
    """
    space, section = spec.search_space, spec.sampler
    setting = Setting(space, spec.directed, spec.limits, spec.seed, known)
    if passed is not None:
        from orchestrator.sampling.own_sampler import adopted

        return adopted(passed, setting)
    return build_sampler(
        section.kind,
        space,
        spec.directed,
        spec.limits,
        spec.seed,
        known,
        options=section.given,
        prior=depth_prior(spec) or allocation_prior(spec),
        per_second=_has_limited_time(spec.budget),
    )


def _has_limited_time(budget: BudgetSection) -> bool:
    """Whether a clock ends the search, as it never does in a reproducible sweep."""
    return {budget.seconds, budget.cpu_hours, budget.gpu_hours} != {None}


def with_sampler_code(spec: SweepSpec, prepared: Prepared | None) -> Prepared | None:
    """Add the digest of a sampler of a user's own to what identifies a sweep.

    >>> with_sampler_code(None, None) is None
    True
    """
    if prepared is None or not prepared.content or not is_reference(spec.sampler.kind):
        return prepared
    if spec.sampler.kind.startswith(OBJECT):
        return prepared
    kind = spec.sampler.kind
    return with_code(prepared, "sampler", lambda of: of(kind), where="sampler: ")
