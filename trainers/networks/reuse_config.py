"""Which pre-trained kernels of a backbone a trial reuses; importable without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALL, JUDGED, NONE = POLICIES = ("all", "judged", "none")
"""All pre-trained kernels, those that a judgement recommends, or none."""
FREEZE, TUNE, REINITIALIZE = FATES = ("freeze", "tune", "reinitialize")
"""What becomes of a layer: kept as it is, trained from where it is, or drawn anew and trained."""


@dataclass(frozen=True, slots=True)
class ReuseConfig:
    """Which kernels are reused.

    Attributes:
        policy: One of `POLICIES`.
        layers: One of `FATES` by the name of a convolution, for all of them; read by the policy
            ``judged`` alone. A layer's norms share its fate.
    """

    policy: str = ALL
    layers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values against each other.

        Raises:
            ValueError: A word is unknown, or the policy ``judged`` has no judgement.
        """
        if self.policy not in POLICIES:
            raise ValueError(f"policy is {self.policy!r}; known are {', '.join(POLICIES)}.")
        wrong = {name: fate for name, fate in self.layers.items() if fate not in FATES}
        if wrong:
            name, fate = next(iter(wrong.items()))
            raise ValueError(
                f"the verdict of layer {name} is {fate!r}; known are {', '.join(FATES)}."
            )
        if self.policy == JUDGED and not self.layers:
            raise ValueError(
                "policy judged needs a judgement: write the file that 'paretune analyze reuse "
                "... --format json' printed as backbone.verdict."
            )

    def check(self, *, weights: str, tune: str) -> None:
        """Check the policy against the rest of a trial.

        Raises:
            ValueError: There is nothing to reuse, or layers would be left random.
        """
        if self.policy == ALL:
            return
        if tune != "all":
            raise ValueError(
                f"policy {self.policy} with tune {tune}: the policy decides which layers are "
                f"trained, and layers that are drawn anew must be. Write tune: all."
            )
        if self.policy == JUDGED and weights == "scratch":
            raise ValueError(
                "policy judged with weights scratch: random weights have nothing to reuse. Name "
                "the weights that were judged."
            )

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the convolutions that are not trained."""
        return self._with(FREEZE)

    @property
    def drawn_anew(self) -> tuple[str, ...]:
        """Names of the convolutions whose weights are random."""
        return self._with(REINITIALIZE)

    def _with(self, fate: str) -> tuple[str, ...]:
        if self.policy != JUDGED:
            return ()
        return tuple(name for name, given in self.layers.items() if given == fate)

    def as_mapping(self) -> dict[str, Any]:
        """Return what decides the result, as JSON values.

        >>> ReuseConfig("none", {"conv1": "tune"}).as_mapping()
        {'policy': 'none', 'layers': {}}
        """
        return {
            "policy": self.policy,
            "layers": dict(self.layers) if self.policy == JUDGED else {},
        }
