"""What a sweep file claims before the first trial."""

from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.spec.claim_section import ClaimSection, parse_margin
from orchestrator.spec.stored import spec_claim
from orchestrator.spec.sweep_spec import SweepSpec

BASE: dict[str, Any] = {
    "name": "a",
    "backbone": {"name": "digitnet", "weights": "scratch"},
    "data": {"name": "digits"},
    "space": {"bits": {"type": "choice", "values": [2, 4, 8]}},
    "objectives": {"accuracy": "maximize"},
    "reference": True,
}


def spec(**changes: Any) -> SweepSpec:
    return SweepSpec.model_validate({**BASE, **changes})


@pytest.mark.parametrize(
    ("text", "margin"),
    [("2 points", 0.02), ("1 point", 0.01), ("2.5 %", 0.025), ("2%", 0.02), ("0.03", 0.03)],
)
def test_a_margin_is_points_or_a_fraction(text: str, margin: float) -> None:
    assert parse_margin(text) == pytest.approx(margin)
    assert ClaimSection(margin=text).margin == pytest.approx(margin)


def test_a_claim_has_defaults_and_survives_the_store() -> None:
    made = spec(claim={"margin": "3 points", "keep": "accuracy", "family": "bits <= 4"})
    stored = made.model_dump(mode="json")
    assert stored["claim"] == {
        "keep": ["accuracy"], "margin": 0.03, "alpha": 0.05, "family": "bits <= 4"
    }  # fmt: skip
    assert spec_claim(stored) == made.claim
    assert spec_claim(spec().model_dump(mode="json")) is None
    assert spec_claim({}) is None
    assert SweepSpec.model_validate(stored) == made
    assert made.claim is not None
    condition = made.claim.condition
    assert condition is not None
    assert [condition.holds({"bits": bits}) for bits in (2, 8)] == [True, False]


def test_a_claim_cannot_change_once_the_sweep_has_begun() -> None:
    plain, two, three = spec(), spec(claim={}), spec(claim={"margin": 0.03})
    assert len({each.fingerprint() for each in (plain, two, three)}) == 3
    # A file without one means what it meant before there were claims.
    assert "claim" not in plain.identity()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"claim": {}, "reference": False}, "write 'reference: true'"),
        ({"claim": {"margin": 2}}, "write '2 points'"),
        ({"claim": {"margin": "two"}}, "not a quantity"),
        ({"claim": {"alpha": 5}}, "less than 1"),
        ({"claim": {"keep": []}}, "at least 1 item"),
        ({"claim": {"keep": ["macs"]}}, "macs is not measured image by image"),
        ({"claim": {"keep": ["robust_accuracy"]}}, "no trial is measured by robust_accuracy"),
        ({"claim": {"family": "accuracy >= 0.9"}}, "accuracy is no parameter of the space"),
        ({"claim": {"family": "bits <"}}, "Write for example"),
    ],
)
def test_what_could_not_be_shown_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec(**changes)
