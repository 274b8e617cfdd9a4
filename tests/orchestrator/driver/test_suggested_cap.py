"""``depth_cap: auto`` is the cap that the analysis suggests, and says where it is from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator import load_sweep
from orchestrator.analysis.depth_analysis import analyze_depth
from orchestrator.analysis.depth_cap import BASIS
from orchestrator.driver.preflight import check
from orchestrator.driver.suggested_cap import depth_prior, with_suggested_cap
from orchestrator.errors import UsageError
from orchestrator.sampling.value_prior import ValuePrior
from orchestrator.spec.sweep_spec import SweepSpec

SWEEP = """
name: capped
backbone: {{name: {backbone}, weights: scratch, depth_cap: {cap}}}
data: {{npz: images.npz}}
space: {{bits: {{type: choice, values: [4, 8]}}, depth: {{type: choice, values: {depths}}}}}
training: {{tune: all}}
objectives: {{accuracy: maximize}}
"""
Load = Callable[..., SweepSpec]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a sweep on images of as many values as each is given."""

    def of(
        values: int, backbone: str = "cifar_resnet20", cap: Any = "auto", depths: Any = (1,)
    ) -> Any:
        pixels = np.random.default_rng(0).integers(0, values, (40, 32, 32, 3), dtype=np.uint8)
        np.savez(tmp_path / "images.npz", x=pixels, y=np.arange(40) % 2)
        text = SWEEP.format(backbone=backbone, cap=cap, depths=list(depths))
        (tmp_path / "sweep.yaml").write_text(text)
        return load_sweep(tmp_path / "sweep.yaml")

    return of


def test_the_cap_is_that_of_the_analysis_and_bounds_the_networks(load: Load) -> None:
    spec = load(16, depths=(1,))
    found = with_suggested_cap(spec)
    assert found.backbone.depth_cap == analyze_depth(spec.data_config()).cap == 3  # ln 16 = 2.77
    assert spec.trial_config().architecture == "cifar_resnet20"
    assert found.trial_config().architecture == "cifar_resnet20[depth=1]"


def test_check_says_where_the_cap_is_from(load: Load) -> None:
    lines = dict(check(load(16)).lines)
    assert lines["depth cap"].startswith("3 convolution layers a stage at most: ceil(1 x 2.7")
    assert BASIS in lines["depth cap"]


def test_the_same_images_make_the_same_sweep(load: Load) -> None:
    first, again = (with_suggested_cap(load(16)) for _ in range(2))
    assert first.fingerprint() == again.fingerprint()
    assert first.fingerprint() != with_suggested_cap(load(200)).fingerprint()


def test_a_sweep_without_auto_is_left_as_it_is(load: Load) -> None:
    spec = load(16, cap=4)
    assert with_suggested_cap(spec) is spec


def test_depths_above_the_suggested_cap_are_refused_with_the_numbers(load: Load) -> None:
    with pytest.raises(UsageError, match=r"which is 3 for .*depth is 2, but depth_cap 3 allows"):
        check(load(16, depths=(1, 2)))


def test_a_cap_below_what_the_backbone_can_do_is_refused_with_the_numbers(load: Load) -> None:
    with pytest.raises(UsageError, match=r"which is 1 for .*a block of cifar_resnet20 has 2 conv"):
        check(load(2))  # ln 2 = 0.69


def test_a_backbone_that_cannot_be_cut_is_refused_before_images_are_read(load: Load) -> None:
    with pytest.raises(UsageError, match="squeezenet1_0 cannot be cut"):
        load(16, backbone="squeezenet1_0")


def as_prior(load: Load, **values: Any) -> SweepSpec:
    spec = load(60, depths=(1, 2, 3), cap=6).model_dump(mode="json")
    prior = {"depth_cap": 2, "depth_cap_as": "prior", **values}
    return SweepSpec.model_validate({**spec, "backbone": {**spec["backbone"], **prior}})


def test_a_cap_that_is_a_prior_bounds_nothing(load: Load) -> None:
    spec = as_prior(load)
    assert spec.trial_config().depth_cap is None
    assert "cifar_resnet20" in spec.architectures
    assert depth_prior(spec) == ValuePrior("depth", center=1)
    # ln 60 = 4.1: five layers, which are two blocks.
    assert depth_prior(with_suggested_cap(as_prior(load, depth_cap="auto"))).center == 2


def test_check_says_that_the_cap_is_a_prior(load: Load) -> None:
    spec = as_prior(load, depth_cap="auto")
    assert "5 convolution layers a stage are tried first: " in dict(check(spec).lines)["depth cap"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"space": {"bits": {"type": "choice", "values": [4, 8]}}}, "the space has no depth"),
        ({"sampler": {"kind": "grid"}}, "a grid tries every depth anyway"),
        ({"backbone": {"depth_cap": None}}, "there is none: write depth_cap: auto"),
    ],
)
def test_a_prior_of_nothing_is_refused(load: Load, changed: dict[str, Any], told: str) -> None:
    spec = as_prior(load).model_dump(mode="json")
    backbone = {**spec["backbone"], **changed.pop("backbone", {})}
    with pytest.raises(ValueError, match=told):
        SweepSpec.model_validate({**spec, **changed, "backbone": backbone})
