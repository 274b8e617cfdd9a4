"""The depth cap: its conversion, and the entropies of a data set that it starts from."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestrator.analysis.depth_analysis import QUANTILES, analyze_depth
from orchestrator.analysis.depth_cap import (
    BASIS,
    DepthConversion,
    DepthScope,
    EntropyUnit,
    Rounding,
)
from trainers.data import DataConfig, ImageData, load_data
from trainers.data.entropy import image_entropies
from trainers.errors import PixelTypeError

LN_256 = math.log(256)


def data_of(images: NDArray[Any], labels: list[int], classes: tuple[str, ...]) -> ImageData:
    """These images for training; validation and test images are noise, the most there is."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (9, *images.shape[1:]), dtype=np.uint8)
    others = np.zeros(9, dtype=np.int64)
    return ImageData("hand-made", classes, images, np.array(labels), noise, others, noise, others)


@pytest.fixture
def halves() -> ImageData:
    """Two constant images of one class, two of the other with two values in equal shares."""
    images = np.zeros((4, 1, 4, 4), dtype=np.uint8)
    images[2:, :, 2:] = 200
    return data_of(images, [0, 0, 1, 1], ("plain", "halved"))


@pytest.mark.parametrize(
    ("nats", "settings", "cap"),
    [
        (2.3, {}, 3),
        (2.3, {"rounding": Rounding.FLOOR}, 2),
        (2.3, {"rounding": Rounding.ROUND}, 2),
        (2.5, {"rounding": Rounding.ROUND}, 3),
        (3.0, {}, 3),
        (2.3, {"unit": EntropyUnit.BITS}, 4),
        (2.3, {"coefficient": 2.0}, 5),
        (2.3, {"coefficient": 2.0, "unit": EntropyUnit.BITS, "rounding": Rounding.FLOOR}, 6),
        (LN_256, {}, 6),
        # In floating point it may be more than 8 by the last bit, which is no ninth layer.
        (LN_256, {"unit": EntropyUnit.BITS}, 8),
        (8.000000000000002 * math.log(2), {"unit": EntropyUnit.BITS}, 8),
        (7.999999999999999 * math.log(2), {"unit": EntropyUnit.BITS, "rounding": "floor"}, 8),
        (0.0, {}, 1),
        (0.2, {"rounding": Rounding.FLOOR}, 1),
    ],
)
def test_the_cap_follows_from_the_mean_as_worked_out_by_hand(
    nats: float, settings: dict[str, Any], cap: int
) -> None:
    assert DepthConversion(**settings).cap(nats) == cap


CONVERSIONS = st.builds(
    DepthConversion,
    unit=st.sampled_from(EntropyUnit),
    coefficient=st.floats(1e-3, 1e3),
    rounding=st.sampled_from(Rounding),
    scope=st.sampled_from(DepthScope),
)
NATS = st.floats(0, LN_256)


@pytest.mark.slow
@given(CONVERSIONS, NATS, NATS)
def test_more_entropy_never_lowers_the_cap(
    conversion: DepthConversion, one: float, other: float
) -> None:
    less, more = sorted((one, other))
    assert 1 <= conversion.cap(less) <= conversion.cap(more)


@pytest.mark.slow
@given(CONVERSIONS, NATS)
def test_the_roundings_are_ordered(conversion: DepthConversion, nats: float) -> None:
    down, near, up = (
        replace(conversion, rounding=each).cap(nats)
        for each in (Rounding.FLOOR, Rounding.ROUND, Rounding.CEIL)
    )
    assert down <= near <= up <= down + 1


@pytest.mark.parametrize("coefficient", [0.0, -1.0, math.nan, math.inf])
def test_a_coefficient_that_is_no_positive_number_is_refused(coefficient: float) -> None:
    with pytest.raises(ValueError, match="finite number above 0"):
        DepthConversion(coefficient=coefficient)


@pytest.mark.parametrize("name", ["unit", "rounding", "scope"])
def test_a_word_that_is_not_known_is_told_with_those_that_are(name: str) -> None:
    with pytest.raises(ValueError, match=rf"the {name} .*'hartley'; known are \w+, \w+"):
        DepthConversion(**{name: "hartley"})


@pytest.mark.parametrize("nats", [-0.1, math.nan, math.inf])
def test_what_is_no_entropy_has_no_cap(nats: float) -> None:
    with pytest.raises(ValueError, match="finite and not below 0"):
        DepthConversion().cap(nats)


def test_mean_spread_and_quantiles_are_those_worked_out_by_hand(halves: ImageData) -> None:
    report = analyze_depth(halves)
    bit = math.log(2)
    assert report.overall.mean == pytest.approx(bit / 2)
    assert report.overall.std == pytest.approx(bit / 2)
    assert report.overall.quantiles == pytest.approx((0, 0, 0, bit / 2, bit, bit, bit))
    assert {name: each.mean for name, each in report.by_class.items()} == pytest.approx(
        {"plain": 0, "halved": bit}
    )
    assert {name: each.images for name, each in report.by_class.items()} == {
        "plain": 2,
        "halved": 2,
    }
    told = report.overall.as_json()
    assert told["mean_bits"] == pytest.approx(0.5)
    assert told["std_bits"] == pytest.approx(0.5)
    assert report.shape == (1, 4, 4)
    assert report.cap == 1


def test_training_images_alone_are_looked_at(halves: ImageData) -> None:
    # The other subsets are noise: with them the entropy would be above 2 nats.
    assert analyze_depth(halves).overall.quantiles[-1] == pytest.approx(math.log(2))


def test_copies_of_an_image_leave_mean_and_spread_as_they_are(halves: ImageData) -> None:
    twice = replace(
        halves,
        train_images=np.concatenate([halves.train_images] * 2),
        train_labels=np.concatenate([halves.train_labels] * 2),
    )
    once, more = analyze_depth(halves), analyze_depth(twice)
    assert (more.overall.mean, more.overall.std) == (once.overall.mean, once.overall.std)
    assert more.cap == once.cap


def test_a_config_is_read_as_a_sweep_reads_it() -> None:
    config = DataConfig(name="digits", seed=3)
    images = load_data(config)
    report = analyze_depth(config)
    nats = image_entropies(images.train_images)
    assert report.overall.mean == nats.mean()
    assert report.fingerprint == images.fingerprint()
    assert sum(each.images for each in report.by_class.values()) == report.overall.images
    assert analyze_depth(replace(config, image_size=16)).shape == (1, 16, 16)


def test_a_report_is_plain_json_with_the_label(halves: ImageData) -> None:
    conversion = DepthConversion(unit=EntropyUnit.BITS, coefficient=4, scope=DepthScope.TOTAL)
    report = analyze_depth(halves, conversion=conversion)
    told = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert told["conversion"] == {
        "unit": "bits",
        "coefficient": 4,
        "rounding": "ceil",
        "scope": "total",
        "basis": BASIS,
        "formula": "ceil(4 x 0.5 bits)",
    }
    assert told["depth_cap"] == 2
    assert "not confirmed" in BASIS
    assert len(told["entropy"]["quantiles_nats"]) == len(QUANTILES)
    rows = report.records()
    assert [row["class"] for row in rows] == [None, "plain", "halved"]
    assert {row["depth_cap"] for row in rows} == {2}


def test_a_class_without_training_images_is_left_out_and_gives_no_nan(halves: ImageData) -> None:
    report = analyze_depth(replace(halves, classes=("plain", "halved", "never seen")))
    assert list(report.by_class) == ["plain", "halved"]


def test_images_that_show_nothing_are_noted(halves: ImageData) -> None:
    assert analyze_depth(halves).notes == ()
    constant = replace(halves, train_images=np.full_like(halves.train_images, 7))
    (note,) = analyze_depth(constant).notes
    assert "every image is constant" in note
    cut = replace(halves, train_images=(halves.train_images > 0).astype(np.uint8))
    (note,) = analyze_depth(cut).notes
    assert "no pixel is above 1" in note


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_images_that_are_no_pixels_are_refused_with_the_reason(
    halves: ImageData, tmp_path: Path, kind: type
) -> None:
    images = (halves.train_images / 255).astype(kind)
    with pytest.raises(PixelTypeError, match="nearly every value is unique"):
        analyze_depth(replace(halves, train_images=images))
    path = tmp_path / "normalised.npz"
    np.savez(path, images=images, labels=halves.train_labels)
    with pytest.raises(PixelTypeError, match=r"normalised\.npz has images of type .* is unique"):
        analyze_depth(DataConfig(npz=str(path)))
