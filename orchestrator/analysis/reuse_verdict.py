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

ARMS = ("reuse", "random", "own", "tuned", "scratch")
"""The networks of judgement A, see `NetworkTest`."""


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

    Accuracies of each seed. Arms of one kind of training are compared with each other: `reuse`
    and `own` freeze their kernels as `random` does, `tuned` trains everything as `scratch` does.

    Attributes:
        reuse: With the source's kernels, frozen.
        random: With random kernels, frozen.
        own: With the target's own kernels, frozen.
        tuned: From the source, everything trained.
        scratch: From random weights, everything trained.
        retention: (reuse - random) / (own - random) of the means: what the source's kernels keep
            of what the target's own are worth. None where the target's own kernels are no better
            than random ones and differ from the source's in accuracy.
        retention_scratch: (reuse - scratch) / (own - scratch) of the means, the form of the
            literature, in which only scratch trains its kernels. None likewise.
        p_random: Paired t-test of reuse against random over the seeds; None if impossible.
        p_tuned: The same of tuned against scratch.
        p_scratch: The same of reuse against scratch.
        p_own: The same of reuse against own.
        reusable: Whether the retention is large enough, or the source's kernels are at least as
            good as the target's own and better than random ones, or a network that reuses is
            significantly better than one from scratch: tuned, or reuse (Holm's correction over
            the two).
        helps: Whether tuned is better than scratch in every seed, and on the mean by more than the
            limit of a layer: weaker than `reusable`, and enough not to draw kernels anew.
    """

    reuse: tuple[float, ...]
    random: tuple[float, ...]
    own: tuple[float, ...]
    tuned: tuple[float, ...]
    scratch: tuple[float, ...]
    retention: float | None
    retention_scratch: float | None
    p_random: float | None
    p_tuned: float | None
    p_scratch: float | None
    p_own: float | None
    reusable: bool
    helps: bool


def network_test(arms: Mapping[str, Sequence[float]], limits: Thresholds) -> NetworkTest:
    """Judge the network as a whole.

    Args:
        arms: Accuracies of each seed by the name of an arm, see `NetworkTest`.
        limits: The limits.

    >>> frozen = {"reuse": [0.9, 0.8], "random": [0.3, 0.4], "own": [0.9, 0.8]}
    >>> found = network_test({**frozen, "tuned": [0.9, 0.9], "scratch": [0.5, 0.5]}, Thresholds())
    >>> found.retention, found.reusable
    (1.0, True)
    """
    reuse, own, scratch = arms["reuse"], arms["own"], arms["scratch"]
    retention = _retention(reuse, arms["random"], own)
    p_tuned, p_scratch = _p(arms["tuned"], scratch), _p(reuse, scratch)
    # Where the source's kernels serve better than the target's own, a share of these is no limit.
    serves = np.mean(reuse) > np.mean(arms["random"]) and np.mean(reuse) >= np.mean(own)
    enough = bool(serves) or (retention is not None and retention >= limits.network)
    pairs = {"tuned": p_tuned, "reuse": p_scratch}
    known = {name: p for name, p in pairs.items() if p is not None}
    adjusted = zip(known, holm(list(known.values())).tolist() if known else [], strict=True)
    gained = np.subtract(arms["tuned"], scratch)
    better = [n for n, p in adjusted if p < limits.alpha and np.mean(arms[n]) > np.mean(scratch)]
    return NetworkTest(
        **{name: tuple(values) for name, values in arms.items()},
        retention=retention,
        retention_scratch=_retention(reuse, scratch, own),
        p_random=_p(reuse, arms["random"]),
        p_tuned=p_tuned,
        p_scratch=p_scratch,
        p_own=_p(reuse, own),
        reusable=enough or bool(better),
        helps=bool(gained.min() > 0 and gained.mean() > limits.layer),
    )


def _retention(
    reuse: Sequence[float], floor: Sequence[float], own: Sequence[float]
) -> float | None:
    if list(reuse) == list(own):
        return 1.0
    reused, least, ours = (float(np.mean(each)) for each in (reuse, floor, own))
    return (reused - least) / (ours - least) if ours > least else None


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


def verdict(
    *, network: bool, works: bool, close: bool, may_freeze: bool = True, helps: bool = False
) -> str:
    """Combine the three judgements of one layer; the rule is not confirmed by a source.

    All three: reuse and freeze. Two of them: reuse and tune. Fewer: re-initialize, unless reuse
    helps in every seed: that few seeds do not show a network to be reusable is no reason to draw
    its kernels anew, and where this was done in docs/studies/reuse.md, it cost accuracy.

    That a layer works if it is trained on does not show that it works as it is: where judgement B
    is of the mode ``tune``, no layer is frozen. In docs/studies/reuse.md, freezing what worked in
    that mode cost accuracy.

    >>> verdict(network=True, works=False, close=True)
    'tune'

    Args:
        network: Judgement A, the network is reusable.
        works: Judgement B, the layer's parameters serve in the target.
        close: Judgement C, its kernel is near the target's.
        may_freeze: Whether judgement B is of a layer that was left as it is.
        helps: Whether a network tuned from the source is better than one from scratch.
    """
    held = network + works + close
    least = TUNE if helps else REINITIALIZE
    return {3: FREEZE if may_freeze else TUNE, 2: TUNE}.get(held, least)


def _p(first: Sequence[float], second: Sequence[float]) -> float | None:
    if len(first) < 2:
        return None
    try:
        return paired_t(list(first), list(second))
    except ValueError:
        # All differences are equal, so there is no spread to test them against.
        return None
