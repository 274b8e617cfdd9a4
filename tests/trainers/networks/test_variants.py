"""Names, facts and refusals of cut and scaled backbones, without torch."""

from itertools import pairwise

import pytest

from trainers.config import TrialConfig, with_params
from trainers.networks.backbone_table import backbone_info
from trainers.networks.variants import MATCHED, STAGES, split_variant, variant_name


def test_a_name_and_its_parts_are_inverse_to_each_other() -> None:
    for depth, width in ((None, 1.0), (2, 1.0), (None, 0.5), (2, 1.375)):
        name = variant_name("vgg16", depth, width)
        assert split_variant(name) == ("vgg16", depth, width)
        assert backbone_info(name).name == name


def test_equal_networks_have_equal_names() -> None:
    assert variant_name("cifar_resnet20", 3, "match_macs") == "cifar_resnet20"
    assert variant_name("cifar_resnet20", None, 1.0) == "cifar_resnet20"
    assert backbone_info("cifar_resnet20[depth=3]") is backbone_info("cifar_resnet20")


def test_every_depth_of_every_backbone_has_its_matching_widths() -> None:
    assert MATCHED.keys() == STAGES.keys()
    for base, pairs in MATCHED.items():
        assert len(pairs) == STAGES[base].most
        assert pairs[-1] == (1, 1)
        for shallower, deeper in pairwise(pairs):
            assert shallower >= deeper


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"depth": 4}, "4, but the stages of cifar_resnet20 have 3, 3, 3 .* from 1 to 3"),
        ({"depth_cap": 1}, "a block of cifar_resnet20 has 2 convolution layers .* 2 or more"),
        ({"depth": 2, "depth_cap": 3}, "depth is 2, but depth_cap 3 allows .* 1 blocks a stage"),
        ({"depth_start": "fused"}, "cannot be fused, because its blocks have branches"),
        ({"backbone": "alexnet", "depth": 2}, "depth is 2, but alexnet cannot be cut"),
        ({"backbone": "alexnet", "width_multiplier": 2.0}, "width_multiplier is 2"),
        (
            {"backbone": "digitnet", "depth": 1, "depth_start": "fused"},
            "from scratch, where there is nothing to fuse",
        ),
    ],
)
def test_what_a_backbone_cannot_be_is_refused_with_numbers(
    given: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        TrialConfig(**{"backbone": "cifar_resnet20", "weights": "scratch", **given})  # type: ignore[arg-type]


def test_a_cap_in_convolution_layers_bounds_the_blocks_of_a_stage() -> None:
    fixed = TrialConfig(backbone="cifar_resnet56", weights="scratch", depth_cap=6)
    assert fixed.architecture == "cifar_resnet56[depth=3]"
    assert with_params(fixed, {"depth": 2}, seed=0).architecture == "cifar_resnet56[depth=2]"
    with pytest.raises(ValueError, match="allows cifar_resnet56 3 blocks"):
        with_params(fixed, {"depth": 4}, seed=0)


def test_the_head_is_sized_by_the_features_of_the_variant() -> None:
    config = TrialConfig(
        backbone="digitnet", weights="scratch", width_multiplier=0.5, fc_rule="sqrt"
    )
    # 32 channels instead of 64, at 3 by 3 pixels.
    assert config.head_widths(8) == (round((9 * 32 * 8) ** 0.5),)
    synthetic = TrialConfig(backbone="cifar_resnet20", weights="scratch", width_multiplier=2)
    assert synthetic.head_widths(10) == (128, 64)


def test_a_configuration_without_cuts_is_stored_as_before() -> None:
    plain = TrialConfig(backbone="digitnet", weights="bundled")
    assert (
        not {"depth", "depth_cap", "depth_start", "width_multiplier"} & plain.as_mapping().keys()
    )
    cut = TrialConfig(backbone="digitnet", weights="bundled", depth=1, depth_start="fused")
    assert TrialConfig.from_mapping(cut.as_mapping()) == cut


def test_another_width_begins_from_scratch_and_a_cut_does_not() -> None:
    given = {"backbone": "digitnet", "weights": "bundled", "depth": 1}
    assert TrialConfig(**given).start_weights == "bundled"  # type: ignore[arg-type]
    wider = TrialConfig(**given, width_multiplier="match_params")  # type: ignore[arg-type]
    assert wider.start_weights == "scratch"
