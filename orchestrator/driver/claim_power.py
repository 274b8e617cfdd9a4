"""The statistical power of a sweep's claim, before anything is trained."""

from orchestrator.analysis.statistics.power import DISAGREEMENT, power
from orchestrator.analysis.verdict import points
from orchestrator.sampling.deduplication import MAX_LISTED
from orchestrator.spec.claim_section import ClaimSection
from orchestrator.spec.sweep_spec import SweepSpec

_ENOUGH = 0.8
"""Power that studies are usually planned for."""


def claim_lines(spec: SweepSpec, images: int | None) -> list[tuple[str, str]]:
    """Describe the claim of a sweep with a reference, and the power to show it if it is true.

    Args:
        spec: The sweep.
        images: For validation; None if they are not counted yet.

    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml")
    >>> [name for name, _ in claim_lines(spec, 500)]
    ['claim', 'power', 'note']
    """
    claim = spec.claim or ClaimSection()
    about = f", over {claim.family}" if claim.family else ""
    said = (
        f"{', '.join(claim.keep)} not worse by {points(claim.margin)} points than that of the "
        f"reference, alpha {claim.alpha:g}{about}"
    )
    fixed = "fixed when the sweep begins" if spec.claim else "a default: 'claim:' would fix it"
    unknown = ("power", "known once images are counted: 'paretune analyze power' tells it for any")
    shown = [unknown] if images is None else _power(spec, claim, images)
    return [("claim", f"{said}; {fixed}"), *shown]


def _power(spec: SweepSpec, claim: ClaimSection, images: int) -> list[tuple[str, str]]:
    measured = min(_images(spec, name, images) for name in claim.keep)
    seeds, candidates = spec.replicates, _candidates(spec, claim)
    if not candidates or not measured:
        return []

    def of(seeds: int, margin: float) -> float:
        return power(measured, seeds, candidates, margin, alpha=claim.alpha)

    found = of(seeds, claim.margin)
    lines = [
        (
            "power",
            f"{found:.2f}: so likely is a network that is as good shown to be so, with "
            f"{measured:,} images, {seeds} seeds, {candidates:,} configurations and "
            f"{100 * DISAGREEMENT:g} % of the answers differing",
        )
    ]
    if found < _ENOUGH:
        wider = min(1.5 * claim.margin, 0.5)
        lines.append(
            (
                "note",
                f"that is little: it would be {of(2 * seeds, claim.margin):.2f} with {2 * seeds} "
                f"seeds and {of(seeds, wider):.2f} with a margin of {points(wider)} points; fewer "
                f"configurations and more images help too (paretune analyze power)",
            )
        )
    return lines


def _images(spec: SweepSpec, name: str, images: int) -> int:
    attack = spec.attacks.get(name)
    return images if attack is None else min(images, attack.samples)


def _candidates(spec: SweepSpec, claim: ClaimSection) -> int:
    """How many configurations the budget trains that the claim is about; the reference is one."""
    space, condition = spec.search_space, claim.condition
    most = spec.budget.trials // spec.replicates - 1
    if space.size is None or space.size > MAX_LISTED:
        return most
    about = space.grid() if condition is None else filter(condition.holds, space.grid())
    return min(most, sum(1 for _ in about))
