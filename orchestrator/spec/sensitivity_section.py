"""The layers' sensitivity in a sweep file: which bits of single layers are tried first."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from orchestrator.spec.section import Section
from trainers.quantization.allocation import BIT_WIDTHS
from trainers.quantization.layer_bits import LAYER_BITS, layer_bits_name

FC_BITS = "fc_bits"
OF_LAYERS = (*LAYER_BITS, FC_BITS)
"""The parameters that give single layers their bits."""


class SensitivitySection(Section):
    """What few bits of each layer change; `paretune analyze sensitivity --format json` prints it.

    Attributes:
        backbone: The backbone of the network that was measured.
        weights: How many weights a layer has, by the parameter of its bits: ``bits_1``, ...,
            ``fc_bits``.
        divergences: What the predictions change when it alone has 2, 3, ..., 8 bits, in nats, by
            the same names.
    """

    backbone: str
    weights: dict[str, int]
    divergences: dict[str, list[float]]

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        for name, row in self.divergences.items():
            if name not in self.weights or len(row) != len(BIT_WIDTHS):
                raise ValueError(
                    f"{name} needs its number of weights and {len(BIT_WIDTHS)} divergences, at "
                    f"{BIT_WIDTHS[0]} to {BIT_WIDTHS[-1]} bits, and has {len(row)}. 'paretune "
                    f"analyze sensitivity ... --format json' prints all of it."
                )
        if missing := self.weights.keys() - self.divergences.keys():
            raise ValueError(f"{', '.join(sorted(missing))} has weights and no divergences.")
        return self

    def problem(self, sampled: Collection[str], sampler: str, networks: Sequence[str]) -> str:
        """Say why allocations by it cannot be tried first in a search; empty if they can.

        Args:
            sampled: The parameters of the space.
            sampler: Its kind.
            networks: The networks that the space has, but for their heads.

        >>> section = SensitivitySection(
        ...     backbone="digitnet", weights={"bits_1": 9}, divergences={"bits_1": [0.1] * 7}
        ... )
        >>> section.problem(["bits_1"], "tpe", ["digitnet"])
        ''
        >>> section.problem(["bits"], "tpe", ["digitnet"])
        'quantization.sensitivity decides which bits of layers come first, but the space...'
        """
        layers = [name for name in sampled if name in OF_LAYERS]
        others = [network for network in networks if network != self.backbone]
        unknown = [name for name in layers if name not in self.weights]
        why = ""
        if not layers:
            why = "the space samples none: add bits_1, bits_2, ... or fc_bits"
        elif others:
            why = f"it was measured on {self.backbone}, and the sweep has {others[0]}"
        elif unknown:
            why = f"it knows {', '.join(self.weights)}, and not {', '.join(unknown)}"
        elif sampler == "grid":
            why = "a grid tries all bits anyway"
        elif sampler == "model":
            why = "the sampler model follows no prior, which tpe does"
        return why and (
            f"quantization.sensitivity decides which bits of layers come first, but {why}."
        )


def read_sensitivity(path: Path) -> dict[str, Any]:
    """Read what a sweep needs from the JSON that ``paretune analyze sensitivity`` printed.

    Raises:
        ValueError: The file cannot be read, or is another one.

    >>> from tempfile import TemporaryDirectory
    >>> rows = [{"number": 1, "weights": 9, "bits": b, "divergence": 1 / b} for b in range(2, 9)]
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "sensitivity.json")
    ...     _ = file.write_text(json.dumps({"backbone": "digitnet", "layers": rows}))
    ...     read_sensitivity(file)["weights"]
    {'bits_1': 9}
    """
    how = "'paretune analyze sensitivity NETWORK DATA --format json > FILE' writes one."
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the sensitivity {path} cannot be read ({error}). {how}") from None
    try:
        return _parsed(found)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no sensitivity of layers at {BIT_WIDTHS[0]} to {BIT_WIDTHS[-1]} bits "
            f"({type(error).__name__}: {error}). {how}"
        ) from None


def _parsed(found: Mapping[str, Any]) -> dict[str, Any]:
    weights: dict[str, int] = {}
    measured: dict[str, dict[int, float]] = defaultdict(dict)
    for row in found["layers"]:
        name = FC_BITS if row["number"] is None else layer_bits_name(row["number"])
        weights[name] = row["weights"]
        measured[name][row["bits"]] = row["divergence"]
    divergences = {name: [row[bits] for bits in BIT_WIDTHS] for name, row in measured.items()}
    return {"backbone": found["backbone"], "weights": weights, "divergences": divergences}
