"""The architecture of a network as plain values; importable without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainers.networks.backbone_table import BackboneInfo, backbone_info


@dataclass(frozen=True)
class InputSpec:
    """Size and normalisation of a backbone's input.

    Attributes:
        channels: 1 (grey) or 3 (RGB).
        height: In pixels.
        width: In pixels.
        mean: One value per channel, for pixels in [0, 1].
        std: As `mean`; positive.
    """

    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the values against each other.

        Raises:
            ValueError: A value is out of range; the message names it.
        """
        if self.channels not in (1, 3):
            raise ValueError(f"an input has 1 or 3 channels, not {self.channels}.")
        if min(self.height, self.width) < 1:
            raise ValueError(f"an input of {self.height} by {self.width} pixels has no pixels.")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"an input of {self.channels} channel(s) needs as many means and deviations; "
                f"given: {self.mean!r} and {self.std!r}."
            )
        if not min(self.std) > 0:
            raise ValueError(f"standard deviations must be positive; given: {self.std!r}.")

    def as_mapping(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; `from_mapping` is the inverse."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "InputSpec":
        """Build the spec from the result of `as_mapping`."""
        return cls(
            channels=int(mapping["channels"]),
            height=int(mapping["height"]),
            width=int(mapping["width"]),
            mean=tuple(float(value) for value in mapping["mean"]),
            std=tuple(float(value) for value in mapping["std"]),
        )


@dataclass(frozen=True)
class NetworkSpec:
    """The architecture of a network, without its weights.

    Attributes:
        backbone: Name of the backbone.
        input: Input that the backbone expects.
        n_features: Inputs of the head.
        widths: Hidden widths of the head.
        classes: Outputs of the head.
        narrowed: Layers of the backbone of which channels were removed: the name of each, and its
            sizes as in `trainers.networks.narrowing`.
        shared_kernels: Whether convolutions of one shape share a kernel, which is stored once:
            `trainers.networks.sharing`.
    """

    backbone: str
    input: InputSpec
    n_features: int
    widths: tuple[int, ...]
    classes: int
    narrowed: tuple[tuple[str, tuple[int, ...]], ...] = ()
    shared_kernels: bool = False

    def as_mapping(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; `from_mapping` is the inverse."""
        values = {
            "backbone": self.backbone,
            "input": self.input.as_mapping(),
            "n_features": self.n_features,
            "widths": list(self.widths),
            "classes": self.classes,
        }
        if self.narrowed:
            # Left out otherwise, so that other files stay as they always were.
            values["narrowed"] = {name: list(sizes) for name, sizes in self.narrowed}
        if self.shared_kernels:
            values["shared_kernels"] = True
        return values

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "NetworkSpec":
        """Build the spec from the result of `as_mapping`."""
        return cls(
            backbone=str(mapping["backbone"]),
            input=InputSpec.from_mapping(mapping["input"]),
            n_features=int(mapping["n_features"]),
            widths=tuple(int(width) for width in mapping["widths"]),
            classes=int(mapping["classes"]),
            narrowed=tuple(
                (name, tuple(int(size) for size in sizes))
                for name, sizes in mapping.get("narrowed", {}).items()
            ),
            shared_kernels=bool(mapping.get("shared_kernels", False)),
        )


def spec_of(
    backbone: str, widths: Sequence[int], classes: int, *, image_size: int | None = None
) -> NetworkSpec:
    """Return the spec of the network that `assemble_network` would build, without building it.

    Raises:
        ValueError: There is no such backbone, or `image_size` is too small for it.

    >>> spec = spec_of("digitnet", (16,), 10)
    >>> spec.n_features, spec.input.height
    (576, 28)
    """
    info = backbone_info(backbone)
    spec = input_spec(info, image_size)
    return NetworkSpec(info.name, spec, info.n_features, tuple(widths), classes)


def input_spec(info: BackboneInfo, image_size: int | None) -> InputSpec:
    """Return the input that a backbone expects.

    Raises:
        ValueError: `image_size` is too small for it.

    >>> from trainers.networks.backbone_table import backbone_info
    >>> input_spec(backbone_info("resnet18"), None).height
    224
    >>> input_spec(backbone_info("digitnet"), 32)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: digitnet sees images of 28 by 28 pixels; image_size 32 was given.
    """
    size = info.image_size if image_size is None else image_size
    if info.base == "digitnet" and size != info.image_size:
        # It has no global pool, so that another size would change the number of features.
        raise ValueError(f"digitnet sees images of 28 by 28 pixels; image_size {size} was given.")
    if size < info.min_image_size:
        raise ValueError(
            f"image_size {size} is too small for {info.name}, which needs at least "
            f"{info.min_image_size} pixels."
        )
    return InputSpec(len(info.mean), size, size, info.mean, info.std)


def tuned_blocks(tune: str, n_blocks: int) -> int:
    """Count the blocks of a backbone that `tune` trains: 0 for `head`, all for `all`.

    >>> tuned_blocks("head", 5), tuned_blocks("last_blocks:2", 5), tuned_blocks("all", 5)
    (0, 2, 5)

    Raises:
        ValueError: `tune` is unknown, or its N is not in 1 to `n_blocks`.
    """
    if tune in ("head", "all"):
        return 0 if tune == "head" else n_blocks
    kind, _, number = tune.partition(":")
    if kind != "last_blocks" or not (number.isascii() and number.isdigit()):
        raise ValueError(
            f"tune is {tune!r}; known are head, last_blocks:N (say, 2 for N) and all."
        )
    if not 1 <= int(number) <= n_blocks:
        raise ValueError(
            f"tune is {tune!r}, and this backbone has {n_blocks} blocks: N goes from 1 to "
            f"{n_blocks}."
        )
    return int(number)
