"""The head that every sizing rule gives a backbone, without training and without weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trainers.artifact.layout import layout_of
from trainers.networks.backbone_table import BackboneInfo, backbone_info
from trainers.networks.heads import head_parameters
from trainers.networks.network import spec_of
from trainers.networks.sizing import RULES, hidden_widths
from trainers.quantization import QuantizationConfig


@dataclass(frozen=True, slots=True)
class SizedHead:
    """One head on a backbone, packed but never trained.

    Attributes:
        rule: Name of the rule; for a fraction, with its value.
        widths: Hidden widths.
        head_params: Learnable values of the head.
        head_saving: Share of the full head's parameters that is saved; below 0 if there are more.
        head_bytes: Size of the head in the packed file.
        memory_bytes: Size of the whole packed file, without the names of the classes.
    """

    rule: str
    widths: tuple[int, ...]
    head_params: int
    head_saving: float
    head_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class SizingReport:
    """Every rule on one backbone and one number of classes.

    Attributes:
        backbone: Its name.
        n_features: Inputs of the head.
        classes: Outputs of the head.
        synthetic: Whether the full head is synthetic, because the backbone pools globally.
        bits: Bits of a convolution weight; 32 is not quantized.
        fc_bits: The same of an FC weight.
        heads: One for each rule; the full one first.
    """

    backbone: str
    n_features: int
    classes: int
    synthetic: bool
    bits: int
    fc_bits: int
    heads: tuple[SizedHead, ...]

    @property
    def kind(self) -> str:
        """The word of the command."""
        return "sizing"

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to beware of: nothing is measured."""
        return ()

    def inputs(self) -> dict[str, Any]:
        """Return what was sized."""
        return {
            "backbone": self.backbone,
            "classes": self.classes,
            "bits": self.bits,
            "fc_bits": self.fc_bits,
        }

    def results(self) -> dict[str, float]:
        """Return parameters and bytes of each head, by the name of its rule."""
        found: dict[str, float] = {}
        for head in self.heads:
            rule = head.rule.replace(" ", "_")
            found[f"head_params_{rule}"] = head.head_params
            found[f"memory_bytes_{rule}"] = head.memory_bytes
        return found

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {**self.inputs(), "heads": self.records()}

    def records(self) -> list[dict[str, Any]]:
        """Return one self-contained mapping for each head."""
        shared = {
            "backbone": self.backbone,
            "head_inputs": self.n_features,
            "classes": self.classes,
            "bits": self.bits,
            "fc_bits": self.fc_bits,
            "full_head": "synthetic" if self.synthetic else "own",
        }
        return [
            shared
            | {
                "rule": head.rule,
                "widths": list(head.widths),
                "head_params": head.head_params,
                "head_saving_fraction": head.head_saving,
                "head_bytes": head.head_bytes,
                "memory_bytes": head.memory_bytes,
            }
            for head in self.heads
        ]


def size_heads(
    backbone: str,
    classes: int,
    *,
    bits: int = 32,
    fc_bits: int = 32,
    fractions: Sequence[float] = (0.25,),
    widths: Sequence[int] | None = None,
) -> SizingReport:
    """Size and pack the head by every rule, without training it.

    Args:
        backbone: A name of `trainers.networks.backbones`.
        classes: Outputs of the head, at least 2.
        bits: Bits of a convolution weight, 2 to 8, or 32.
        fc_bits: Bits of an FC weight, 2 to 8, or 32.
        fractions: For the rule ``fraction``, one head each.
        widths: Hidden widths for the rule ``explicit``; None leaves it out.

    Raises:
        ValueError: There is no such backbone, or a number is out of range.

    >>> report = size_heads("digitnet", 10, bits=8, fc_bits=4)
    >>> [head.widths for head in report.heads if head.rule in ("full", "sqrt")]
    [(256, 128), (76,)]
    """
    info = backbone_info(backbone)
    if classes < 2:
        raise ValueError(f"{classes} classes cannot be told apart: at least 2 are needed.")
    quantization = QuantizationConfig(bits=bits, fc_bits=fc_bits)
    full = head_parameters(info.n_features, info.reference_widths, classes)
    heads = []
    for rule, found in _widths(info, classes, fractions, widths):
        layout = layout_of(spec_of(info.name, found, classes), quantization, None)
        params = head_parameters(info.n_features, found, classes)
        head_bytes = sum(t.bytes for t in layout.tensors if t.name.startswith("head."))
        heads.append(SizedHead(rule, found, params, 1 - params / full, head_bytes, layout.bytes))
    return SizingReport(
        backbone=info.name,
        n_features=info.n_features,
        classes=classes,
        synthetic=info.has_synthetic_head,
        bits=bits,
        fc_bits=fc_bits,
        heads=tuple(heads),
    )


def _widths(
    info: BackboneInfo, classes: int, fractions: Sequence[float], widths: Sequence[int] | None
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name of each rule, with its setting, and the widths it gives."""

    def sized(
        rule: str, fraction: float | None = None, given: Sequence[int] | None = None
    ) -> tuple[int, ...]:
        return hidden_widths(
            rule,
            n_features=info.n_features,
            classes=classes,
            reference=info.reference_widths,
            fraction=fraction,
            widths=given,
        )

    for rule in RULES:
        if rule == "fraction":
            yield from ((f"fraction {each:g}", sized(rule, each)) for each in fractions)
        elif rule != "explicit":
            yield rule, sized(rule)
        elif widths is not None:
            yield rule, sized(rule, given=widths)
