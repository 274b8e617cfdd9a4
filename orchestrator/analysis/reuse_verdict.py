"""What the measurements of the reuse judge mean: thresholds, conditions, verdicts.

After Wang, Cheng, Zhu and Liang (arXiv 2008.03411, 2020), whose abstract names the three
judgements; thresholds and how they are combined are not confirmed by a source.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.analysis.statistics.corrections import holm
from orchestrator.analysis.statistics.paired import paired_t
from trainers.networks.reuse_config import FREEZE, REINITIALIZE, TUNE

BASIS = "After Wang et al. 2020; thresholds and their combination are not confirmed by a source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Limits of the three judgements; not confirmed by a source.

    Attributes:
        network: Smallest retention of a network that is reusable.
        layer: Largest loss of accuracy, as a fraction, of a layer that is reusable.
        rmse: Largest share of the null that the RMSE of a reusable kernel has.
        alpha: Level of the tests over seeds.
    """

    network: float = 0.9
    layer: float = 0.01
    rmse: float = 0.5
    alpha: float = 0.05

    def __post_init__(self) -> None:
        """Check every limit.

        Raises:
            ValueError: One is not finite, or alpha is not in (0, 1).
        """
        for name in ("network", "layer", "rmse", "alpha"):
            value = getattr(self, name)
            if not math.isfinite(value) or (name == "alpha" and not 0 < value < 1):
                raise ValueError(f"the threshold {name} is {value:g}, which is no possible limit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTest:
    """Judgement A: is the network reusable?

    Attributes:
        reuse: Accuracy of each seed with the source's kernels.
        scratch: The same from scratch.
        own: The same with the target's own kernels.
        retention: (reuse - scratch) / (own - scratch) of the means; None where the target's own
            kernels are no better than none and differ from the source's in accuracy.
        p_scratch: Paired t-test of reuse against scratch over the seeds; None if impossible.
        p_own: The same against own.
        reusable: Whether the retention is large enough, or reuse is significantly better than
            scratch.
    """

    reuse: tuple[float, ...]
    scratch: tuple[float, ...]
    own: tuple[float, ...]
    retention: float | None
    p_scratch: float | None
    p_own: float | None
    reusable: bool


def network_test(
    reuse: Sequence[float], scratch: Sequence[float], own: Sequence[float], limits: Thresholds
) -> NetworkTest:
    """Judge the network as a whole.

    >>> network_test([0.9, 0.8], [0.5, 0.5], [0.9, 0.8], Thresholds()).retention
    1.0
    """
    reused, drawn, ours = (float(np.mean(each)) for each in (reuse, scratch, own))
    retention: float | None = None
    if list(reuse) == list(own):
        retention = 1.0
    elif ours > drawn:
        retention = (reused - drawn) / (ours - drawn)
    p_scratch = _p(reuse, scratch)
    is_better = p_scratch is not None and p_scratch < limits.alpha and reused > drawn
    enough = retention is not None and retention >= limits.network
    return NetworkTest(
        reuse=tuple(reuse),
        scratch=tuple(scratch),
        own=tuple(own),
        retention=retention,
        p_scratch=p_scratch,
        p_own=_p(reuse, own),
        reusable=enough or is_better,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTest:
    """Judgement B: what a layer of the source costs in the target.

    Attributes:
        drop: Mean loss of accuracy over the seeds.
        p: Paired t-test of the loss, after Holm's correction over the layers; None if impossible.
        works: Whether the loss is small enough.
    """

    drop: float
    p: float | None
    works: bool


def layer_tests(
    replaced: Mapping[str, Sequence[float]], without: Sequence[float], limits: Thresholds
) -> dict[str, LayerTest]:
    """Judge each layer by its accuracies, a number for each seed.

    >>> layer_tests({"conv1": [0.9]}, [0.95], Thresholds())["conv1"].works
    False
    """
    p_values = {name: _p(values, without) for name, values in replaced.items()}
    known = {name: p for name, p in p_values.items() if p is not None}
    adjusted = holm(list(known.values())).tolist() if known else []
    corrected: dict[str, float | None] = dict.fromkeys(replaced)
    corrected.update(zip(known, adjusted, strict=True))
    drops = {
        name: float(np.mean(without)) - float(np.mean(values)) for name, values in replaced.items()
    }
    return {
        name: LayerTest(drop=drop, p=corrected[name], works=drop <= limits.layer + 1e-12)
        for name, drop in drops.items()
    }


def verdict(*, network: bool, works: bool, close: bool) -> str:
    """Combine the three judgements of one layer; the rule is not confirmed by a source.

    All three: reuse and freeze. Two of them: reuse and tune. Fewer: re-initialize.

    >>> verdict(network=True, works=False, close=True)
    'tune'

    Args:
        network: Judgement A, the network is reusable.
        works: Judgement B, the layer's parameters serve in the target.
        close: Judgement C, its kernel is near the target's.
    """
    held = network + works + close
    return {3: FREEZE, 2: TUNE}.get(held, REINITIALIZE)


def _p(first: Sequence[float], second: Sequence[float]) -> float | None:
    if len(first) < 2:
        return None
    try:
        return paired_t(list(first), list(second))
    except ValueError:
        # All differences are equal, so there is no spread to test them against.
        return None
