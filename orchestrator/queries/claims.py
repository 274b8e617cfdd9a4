"""Fronts within the family that a claim is about."""

from dataclasses import replace

from orchestrator.analysis.claim import Claim
from orchestrator.fronts.front import Front
from search_spaces import Condition


def of_family(front: Front, claim: Claim) -> Front:
    """Exclude, as if they had not been trained, configurations outside the claim's family.

    The family is a condition on parameters, fixed before the first trial: no result chooses it.

    >>> from orchestrator.trials import Trial, TrialState
    >>> trials = [Trial("s", 0, {"bits": bits}, 0, TrialState.COMPLETE) for bits in (4, 8)]
    >>> small = of_family(Front((), (), trained=trials), Claim((), 0.02, 0.05, family="bits <= 4"))
    >>> [trial.params for trial in small.trained]
    [{'bits': 4}]
    """
    if claim.family is None:
        return front
    condition = Condition.parse(claim.family)
    return replace(
        front,
        trained=[trial for trial in front.trained if condition.holds(trial.params)],
        competitors=[trial for trial in front.competitors if condition.holds(trial.params)],
    )
