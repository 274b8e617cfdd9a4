"""What a comparison is to show, and whether that was fixed before there were results."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.analysis.verdict import points
from orchestrator.spec.claim_section import ClaimSection


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim that the smallest network that keeps some accuracies is not worse.

    Attributes:
        keep: Accuracies that must not be worse.
        margin: Largest loss that does not matter.
        alpha: Accepted probability of at least one wrong "not worse".
        family: Condition on the parameters of the configurations it is about; None for all.
        fixed: The claim that the sweep file fixed before the first trial; None if none.
    """

    keep: tuple[str, ...]
    margin: float
    alpha: float
    family: str | None = None
    fixed: ClaimSection | None = None

    @classmethod
    def asked(
        cls,
        fixed: ClaimSection | None,
        *,
        keep: Sequence[str] | None = None,
        margin: float | None = None,
        alpha: float | None = None,
    ) -> "Claim":
        """Build a claim; settings not given are as the file fixed them, else the defaults."""
        plain = fixed or ClaimSection()
        names = [keep] if isinstance(keep, str) else keep
        return cls(
            tuple(dict.fromkeys(plain.keep if names is None else names)),
            plain.margin if margin is None else margin,
            plain.alpha if alpha is None else alpha,
            plain.family,
            fixed,
        )

    @property
    def departures(self) -> list[str]:
        """The ways in which it differs from the claim that the file fixed."""
        if self.fixed is None:
            return []
        found = []
        if set(self.keep) != set(self.fixed.keep):
            found.append(f"keeps {', '.join(self.keep)} and not {', '.join(self.fixed.keep)}")
        if self.margin != self.fixed.margin:
            found.append(
                f"has a margin of {points(self.margin)} and not {points(self.fixed.margin)} points"
            )
        if self.alpha != self.fixed.alpha:
            found.append(f"has an alpha of {self.alpha:g} and not {self.fixed.alpha:g}")
        return found

    def look(self, by: str, trained: int) -> "Look":
        """Record a look at the claim.

        Args:
            by: The value that is minimised.
            trained: Number of trials trained so far.
        """
        return Look(self.keep, self.margin, self.alpha, by, trained)


@dataclass(frozen=True, slots=True)
class Look:
    """One comparison that was made; the same one of the same results is the same look.

    Attributes:
        keep: Accuracies that were to be kept.
        margin: As asked.
        alpha: As asked.
        by: The value that was minimised.
        trained: Number of trials trained by then.
    """

    keep: tuple[str, ...]
    margin: float
    alpha: float
    by: str
    trained: int


def told_of(claim: Claim, looks: Sequence[Look] | None) -> str:
    """Describe whether the claim was fixed beforehand, and how often results were looked at.

    Args:
        claim: The claim to describe.
        looks: All distinct looks so far, including this one; None if they could not be counted.

    >>> told_of(Claim.asked(None), None).partition(", so")[0]
    'The sweep file fixed no claim'
    """
    return f"{_told_fixed(claim)} {_told_looks(claim, looks)}"


def _told_fixed(claim: Claim) -> str:
    if claim.fixed is None:
        return (
            "The sweep file fixed no claim, so that margin and kept values may have been chosen "
            "by the results: take this as exploratory."
        )
    if claim.departures:
        return (
            f"The sweep file fixed another claim before the first trial: this one "
            f"{' and '.join(claim.departures)}, so take it as exploratory."
        )
    about = f", over {claim.family}" if claim.family else ""
    return (
        f"The claim was fixed in the sweep file before the first trial: {', '.join(claim.keep)} "
        f"not worse by {points(claim.margin)} points, alpha {claim.alpha:g}{about}."
    )


def _told_looks(claim: Claim, looks: Sequence[Look] | None) -> str:
    if looks is None:
        return "How often results were looked at before could not be counted."
    if len(looks) == 1:
        return "This is the first look at its comparisons."
    asked = len({(look.keep, look.margin, look.alpha, look.by) for look in looks})
    stages = len({look.trained for look in looks})
    ways = [f"at {asked} claims"] if asked > 1 else []
    ways += [f"after {stages} numbers of trials"] if stages > 1 else []
    return (
        f"Its comparisons were looked at {len(looks)} times, {' and '.join(ways)}; a choice "
        f"among several looks is wrong more often than alpha says."
    )
