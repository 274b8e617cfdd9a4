"""Which methods of other papers a training uses; importable without torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from trainers.accepted import Accepts, Value

ADVERSARIES = ("none", "fgsm", "pgd")
EXPANSIONS = ("none", "head", "convolutions", "all", "kernels")

METHOD_PARAMETERS: Mapping[str, Accepts] = {
    "distillation": Accepts("share of the loss that the full-size network teaches", 0.0, 1.0),
    "temperature": Accepts("temperature of distillation", 1.0, 100.0),
    "adversarial": Accepts("attack that training images are changed by", words=ADVERSARIES),
    "adversarial_epsilon": Accepts("largest change of a pixel by it", 1e-6, 1.0),
    "adversarial_steps": Accepts("steps of pgd in training", 1, 1_000, whole=True),
    "adversarial_share": Accepts("share of the loss on attacked images", 0.01, 1.0),
    "l2sp": Accepts("penalty on the distance from the pre-trained weights", 0.0, 1e3),
    "l2sp_head": Accepts("penalty of l2sp on the weights of the new head", 0.0, 1e3),
    "halo": Accepts("penalty of HALO on weights; 0 is off", 0.0, 1e3),
    "halo_shrinkage": Accepts("penalty of HALO on its coefficients", 0.0, 1e3),
    "expand": Accepts("which layers are trained as three", words=EXPANSIONS),
    "expand_rate": Accepts("channels of an expanded layer, of its own", 1, 32, whole=True),
    "adapter_rank": Accepts("rank of adapters on frozen layers; 0 is none", 0, 512, whole=True),
    "adjoined": Accepts("whether the head is trained as a part of the full one", flag=True),
    "share_kernels": Accepts("whether convolutions of one shape share a kernel", flag=True),
    "training_window": Accepts("side of the window that training sees, of an image's", 0.1, 1.0),
}
"""What of the methods may be sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodsConfig:
    """The methods of other papers that a training uses; by default none.

    Formulas, symbols and sources are in the module that implements a method; see
    `trainers.methods`.

    Attributes:
        distillation: Share `a` of the loss that the full-size network teaches; 0 is off.
        temperature: `T` of distillation.
        adversarial: Attack that training images are changed by: ``fgsm`` or ``pgd``.
        adversarial_epsilon: Largest change of a pixel in [0, 1].
        adversarial_steps: Steps of ``pgd``.
        adversarial_share: Share of the loss on attacked images; the rest is on clean ones.
        l2sp: `alpha`, of the distance from the pre-trained weights; 0 is off.
        l2sp_head: `beta`, of the weights of the head.
        halo: `xi`, of weights divided by their coefficients; 0 is off.
        halo_shrinkage: `psi`, of the coefficients.
        expand: Which layers are trained as three linear ones: ``head``, ``convolutions``, ``all``;
            ``kernels`` trains kernels of 5x5 and more as several of 3x3.
        expand_rate: `r`: how many times as many channels these have.
        adapter_rank: Rank of a 1x1 convolution beside every frozen convolution; 0 is none.
        adjoined: Whether the sized head is trained as the first units of the full one.
        share_kernels: Whether convolutions of one shape share a kernel, from scratch alone.
        training_window: Side of the part of an image that training sees, of its whole side.
        teacher: Config of the network that teaches, as JSON values; empty where the training's own
            says all of it.
    """

    distillation: float = 0.0
    temperature: float = 4.0
    adversarial: str = "none"
    adversarial_epsilon: float = 8 / 255
    adversarial_steps: int = 7
    adversarial_share: float = 1.0
    l2sp: float = 0.0
    l2sp_head: float = 0.01
    halo: float = 0.0
    halo_shrinkage: float = 1e-8
    expand: str = "none"
    expand_rate: int = 4
    adapter_rank: int = 0
    adjoined: bool = False
    share_kernels: bool = False
    training_window: float = 1.0
    teacher: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A value is not accepted; the sentence says what would be.
        """
        for name, accepts in METHOD_PARAMETERS.items():
            value = getattr(self, name)
            if not accepts.accepts(value):
                raise ValueError(f"{name} is {value!r}, but a trial needs {accepts}.")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} is {value!r}; a finite number is needed.")

    @property
    def active(self) -> bool:
        """Whether any method changes the training."""
        return bool(self.used())

    @property
    def needs_pixels(self) -> bool:
        """Whether the backbone is computed in every step, even if it is frozen."""
        return self.adversarial != "none" or self.adapter_rank > 0 or self.training_window < 1

    def used(self) -> list[str]:
        """Return the names of the methods that are switched on.

        >>> MethodsConfig(halo=1e-8, temperature=2.0).used()
        ['halo']
        """
        return [name for name in _SWITCHES if getattr(self, name) != getattr(_DEFAULTS, name)]

    def sampled(self, params: Mapping[str, Value]) -> "MethodsConfig":
        """Return the methods with the sampled parameters in the place of the fixed ones.

        >>> MethodsConfig(l2sp=0.1).sampled({"l2sp": 0.2, "bits": 4}).l2sp
        0.2
        """
        given: dict[str, Any] = {n: params[n] for n in METHOD_PARAMETERS if n in params}
        return replace(self, **given)

    def without_teaching(self) -> "MethodsConfig":
        """Return the methods that the network that teaches is trained with itself.

        Those of the sized network are left out; how images and weights are treated stays.

        >>> MethodsConfig(distillation=0.5, expand="head", l2sp=0.1).without_teaching().used()
        ['l2sp']
        """
        return replace(
            self,
            distillation=_DEFAULTS.distillation,
            temperature=_DEFAULTS.temperature,
            expand="none",
            expand_rate=_DEFAULTS.expand_rate,
            adjoined=False,
            share_kernels=False,
            halo=0.0,
            halo_shrinkage=_DEFAULTS.halo_shrinkage,
            teacher={},
        )

    def changed(self) -> dict[str, Any]:
        """Return the values other than the defaults; nothing where no method is switched on.

        >>> MethodsConfig(l2sp=0.1).changed(), MethodsConfig(temperature=2.0).changed()
        ({'l2sp': 0.1}, {})
        """
        if not self.active:
            return {}
        given, defaults = asdict(self), asdict(_DEFAULTS)
        return {name: value for name, value in given.items() if value != defaults[name]}


METHOD_NAMES = tuple(entry.name for entry in fields(MethodsConfig) if entry.name != "teacher")
"""Names of the fields of `MethodsConfig` that a person gives."""
SETTINGS = {
    "temperature": "distillation",
    "adversarial_epsilon": "adversarial",
    "adversarial_steps": "adversarial",
    "adversarial_share": "adversarial",
    "l2sp_head": "l2sp",
    "halo_shrinkage": "halo",
    "expand_rate": "expand",
}
"""Settings that say nothing unless the method that they are of is switched on."""
_SWITCHES = tuple(name for name in METHOD_NAMES if name not in SETTINGS)
_DEFAULTS = MethodsConfig()
