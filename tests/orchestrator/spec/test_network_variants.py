"""Depths and widths in a sweep file: which networks there are, and what is refused."""

from typing import Any

import pytest

from orchestrator.spec.sweep_spec import SweepSpec

_DEPTH = {"type": "int", "low": 1, "high": 2}


def _spec(space: dict[str, Any], **backbone: Any) -> SweepSpec:
    return SweepSpec.model_validate(
        {
            "name": "s",
            "backbone": {"name": "digitnet", "weights": "bundled", **backbone},
            "data": "digits",
            "space": space or {"bits": {"type": "choice", "values": [4, 8]}},
            "objectives": {"accuracy": "maximize"},
        }
    )


def test_every_network_of_a_space_is_listed_once() -> None:
    words = {"type": "choice", "values": ["none", "match_params", 0.5]}
    assert set(_spec({"depth": _DEPTH, "width_multiplier": words}).architectures) == {
        "digitnet",
        "digitnet[depth=1]",
        "digitnet[depth=1,width=1.765]",
        "digitnet[depth=1,width=0.5]",
        "digitnet[width=0.5]",
    }


def test_a_fixed_cut_leaves_the_reference_whole() -> None:
    spec = _spec({}, depth=1, width_multiplier="match_macs")
    assert spec.architectures == ("digitnet[depth=1,width=1.984]",)
    assert spec.reference_config().architecture == "digitnet"


def test_a_spec_without_cuts_has_the_identity_that_it_had() -> None:
    assert _spec({}).identity()["backbone"] == {"name": "digitnet", "weights": "bundled"}


@pytest.mark.parametrize(
    ("space", "backbone", "says"),
    [
        ({"depth": {**_DEPTH, "high": 3}}, {}, "space: depth is 3, but .* goes from 1 to 2"),
        ({"depth": _DEPTH}, {"depth_cap": 1}, "space: depth is 2, but depth_cap 1 allows"),
        (
            {"width_multiplier": {"type": "float", "low": 0.5, "high": 2.0}},
            {},
            "width_multiplier is sampled from a range",
        ),
        ({}, {"depth": 3}, "the stages of digitnet have 2, 2, 2 blocks"),
        ({}, {"width_multiplier": "wide"}, "width_multiplier is 'wide'"),
        ({}, {"name": "cifar_resnet20", "weights": "scratch", "depth_cap": 1}, "2 or more for it"),
        ({}, {"depth": 1, "weights": "scratch", "depth_start": "fused"}, "nothing to fuse"),
    ],
)
def test_what_cannot_be_built_is_refused_before_training(
    space: dict[str, Any], backbone: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        _spec(space, **backbone)


def test_with_several_backbones_a_depth_must_suit_one_of_them() -> None:
    backbones = {"type": "choice", "values": ["digitnet", "cifar_resnet32"]}
    space = {"backbone": backbones, "depth": {"type": "int", "low": 4, "high": 5}}
    found = _spec(space, weights="scratch").architectures
    assert set(found) == {"digitnet", "cifar_resnet32[depth=4]", "cifar_resnet32"}
    with pytest.raises(ValueError, match="depth is 6"):
        _spec({**space, "depth": {"type": "int", "low": 6, "high": 7}}, weights="scratch")
