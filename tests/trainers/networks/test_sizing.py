"""Sizing rules against mathematics, and against the table worked out by hand."""

import itertools
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trainers.config import TrialConfig, with_params
from trainers.data import ImageData
from trainers.networks.backbone_table import backbone_info
from trainers.networks.heads import head_parameters
from trainers.networks.sizing import RULES, SMALLEST_FRACTION, check_rule, hidden_widths
from trainers.trial.run import TrialRun

WITHOUT_SETTINGS = [rule for rule in RULES if rule not in ("fraction", "explicit")]
sizes = st.integers(1, 50_000)
references = st.lists(st.integers(1, 8192), min_size=1, max_size=3)
fractions = st.floats(SMALLEST_FRACTION, 1)


def widths_of(backbone: str, rule: str, classes: int, **settings: Any) -> tuple[int, ...]:
    info = backbone_info(backbone)
    return hidden_widths(
        rule,
        n_features=info.n_features,
        classes=classes,
        reference=info.reference_widths,
        **settings,
    )


@st.composite
def sized(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A rule with everything it needs, but for the number of classes."""
    rule = draw(st.sampled_from([*WITHOUT_SETTINGS, "fraction"]))
    given_ = {"n_features": draw(sizes), "reference": draw(references)}
    return rule, given_ | ({"fraction": draw(fractions)} if rule == "fraction" else {})


@pytest.mark.parametrize(
    ("backbone", "classes", "pyramid", "sqrt", "full_params", "pyramid_params"),
    [
        ("alexnet", 2, (554, 33), 136, 54_542_338, 5_124_601),
        ("alexnet", 10, (947, 97), 304, 54_575_114, 8_821_435),
        ("alexnet", 101, (2047, 455), 965, 54_947_941, 19_845_095),
        ("vgg16", 10, (1846, 136), 501, 119_586_826, 46_566_856),
        ("vgg16", 101, (3991, 635), 1592, 119_959_653, 102_729_355),
    ],
)
def test_the_heads_of_alexnet_and_vgg16_are_those_worked_out_by_hand(
    backbone: str,
    classes: int,
    pyramid: tuple[int, ...],
    sqrt: int,
    full_params: int,
    pyramid_params: int,
) -> None:
    n = backbone_info(backbone).n_features
    assert widths_of(backbone, "full", classes) == (4096, 4096)
    assert widths_of(backbone, "pyramid", classes) == pyramid
    assert widths_of(backbone, "sqrt", classes) == (sqrt,)
    assert head_parameters(n, (4096, 4096), classes) == full_params
    assert head_parameters(n, pyramid, classes) == pyramid_params


def test_two_thirds_and_halving_shrink_only_what_comes_after_a_hidden_layer() -> None:
    # 2 * 9216 / 3 + 10 = 6154 and 9216 / 2 = 4608 are more than the reference has.
    assert widths_of("alexnet", "two_thirds", 10) == (4096, 2741)
    assert widths_of("alexnet", "halving", 10) == (4096, 2048)
    assert widths_of("resnet18", "halving", 10) == (256, 128)
    assert widths_of("resnet18", "two_thirds", 10) == (351, 244)


@pytest.mark.slow
@given(sized(), st.integers(1, 5_000))
def test_a_rule_never_enlarges_and_never_removes_a_layer(
    case: tuple[str, dict[str, Any]], classes: int
) -> None:
    rule, given_ = case
    widths = hidden_widths(rule, classes=classes, **given_)
    assert len(widths) == (1 if rule == "sqrt" else len(given_["reference"]))
    assert all(1 <= w <= bound for w, bound in zip(widths, given_["reference"], strict=False))
    assert all(type(width) is int for width in widths)


@pytest.mark.slow
@given(sized(), st.integers(1, 5_000), st.integers(0, 5_000))
def test_more_classes_never_give_a_narrower_layer(
    case: tuple[str, dict[str, Any]], classes: int, more: int
) -> None:
    rule, given_ = case
    few, many = (hidden_widths(rule, classes=m, **given_) for m in (classes, classes + more))
    assert all(a <= b for a, b in zip(few, many, strict=True))


@given(sizes, st.integers(1, 5_000), st.integers(1, 3))
def test_a_pyramid_is_geometric_from_inputs_to_classes_up_to_rounding(
    n: int, m: int, layers: int
) -> None:
    reference = (max(n, m),) * layers
    widths = hidden_widths("pyramid", n_features=n, classes=m, reference=reference)
    ratio = (n / m) ** (1 / (layers + 1))
    exact = [n / ratio**number for number in range(1, layers + 2)]
    assert exact.pop() == pytest.approx(m)
    assert all(abs(w - e) <= 0.5 + 1e-6 for w, e in zip(widths, exact, strict=True))


@given(sizes, st.integers(1, 5_000), st.integers(1, 8192))
def test_a_pyramid_of_one_layer_is_the_square_root(n: int, m: int, bound: int) -> None:
    both = [
        hidden_widths(rule, n_features=n, classes=m, reference=(bound,))
        for rule in ("pyramid", "sqrt")
    ]
    assert both[0] == both[1]


@given(sizes, st.integers(1, 5_000), st.integers(1, 8192))
def test_the_square_root_rounds_to_the_nearest(n: int, m: int, bound: int) -> None:
    (width,) = hidden_widths("sqrt", n_features=n, classes=m, reference=(bound,))
    assert width == bound or (2 * width - 1) ** 2 <= 4 * n * m < (2 * width + 1) ** 2


@given(st.integers(1, 4095))
def test_halves_round_up(half: int) -> None:
    n = 2 * half + 1
    assert hidden_widths("halving", n_features=n, classes=1, reference=(n,)) == (half + 1,)


@given(references, fractions, fractions)
@pytest.mark.slow
def test_a_fraction_is_the_share_that_it_says(
    reference: list[int], one: float, other: float
) -> None:
    small, large = (
        hidden_widths("fraction", n_features=9, classes=2, reference=reference, fraction=each)
        for each in sorted((one, other))
    )
    assert all(a <= b for a, b in zip(small, large, strict=True))
    share = max(one, other)
    assert all(
        abs(width - share * bound) <= 0.5 or width == 1
        for width, bound in zip(large, reference, strict=True)
    )
    whole = hidden_widths("fraction", n_features=9, classes=2, reference=reference, fraction=1)
    assert whole == tuple(reference)


@pytest.mark.slow
@given(sized(), st.integers(1, 5_000))
def test_a_sized_head_never_has_more_parameters_than_the_full_one(
    case: tuple[str, dict[str, Any]], classes: int
) -> None:
    rule, given_ = case
    n, reference = given_["n_features"], given_["reference"]
    # With one layer instead of several there is none behind a bottleneck of the reference.
    assume(rule != "sqrt" or len(reference) == 1)
    widths = hidden_widths(rule, classes=classes, **given_)
    assert head_parameters(n, widths, classes) <= head_parameters(n, reference, classes)


@given(st.lists(sizes, max_size=3))
def test_explicit_widths_are_taken_as_they_are(widths: list[int]) -> None:
    for rule in (None, "explicit"):
        found = hidden_widths(rule, n_features=9, classes=2, reference=(4,), widths=widths)
        assert found == tuple(widths)


def test_without_a_rule_and_widths_the_head_is_full() -> None:
    assert hidden_widths(None, n_features=9, classes=2, reference=[5, 4]) == (5, 4)


@pytest.mark.parametrize(
    ("rule", "fraction", "widths", "said"),
    [
        ("pyramids", None, None, "Known: full, pyramid"),
        ("explicit", None, None, "needs the widths"),
        ("pyramid", None, (8,), "decides the widths"),
        ("full", None, (), "decides the widths"),
        ("fraction", None, None, "needs a fraction"),
        ("fraction", 0.0, None, "needs a fraction"),
        ("fraction", 1.5, None, "needs a fraction"),
        ("fraction", math.nan, None, "needs a fraction"),
        ("pyramid", 0.5, None, "leave it out"),
        (None, 0.5, None, "leave it out"),
        (None, 0.5, (8,), "'explicit'"),
    ],
)
def test_a_rule_with_what_it_does_not_take_is_refused(
    rule: str | None, fraction: float | None, widths: tuple[int, ...] | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        check_rule(rule, fraction, widths)


@pytest.mark.parametrize(
    ("n", "m", "reference"), [(0, 2, (4,)), (9, 0, (4,)), (9, 2, (4, 0)), (9, 2, ())]
)
def test_a_head_that_cannot_be_is_refused(n: int, m: int, reference: tuple[int, ...]) -> None:
    for rule in WITHOUT_SETTINGS:
        with pytest.raises(ValueError, match="at least 1"):
            hidden_widths(rule, n_features=n, classes=m, reference=reference)


def test_a_trial_records_what_its_rule_was_given_and_what_it_gave(
    bands: ImageData, make_config: Callable[..., TrialConfig], tmp_path: Path
) -> None:
    fixed = make_config(widths=None, epochs=1)
    config = with_params(fixed, {"fc_rule": "pyramid"}, seed=0)
    trial = TrialRun(config, bands, tmp_path)
    trial.advance(to_epoch=1, seconds=60)
    values = trial.measure().values
    widths = widths_of("digitnet", "pyramid", 3)
    assert (values["head_inputs"], values["head_outputs"]) == (576, 3)
    assert (values["head_width_1"], values["head_width_2"]) == widths
    assert "head_width_3" not in values
    assert values["head_params"] == head_parameters(576, widths, 3)
    assert config.widths is None


def test_no_two_rules_are_the_same_on_vgg16() -> None:
    found = {rule: widths_of("vgg16", rule, 10) for rule in WITHOUT_SETTINGS}
    assert all(a != b for a, b in itertools.combinations(found.values(), 2)), found


def test_rules_are_read_without_torch() -> None:
    code = "import sys, trainers.networks.sizing; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True)
