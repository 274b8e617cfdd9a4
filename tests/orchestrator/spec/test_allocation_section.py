"""A budget of bits or bytes in a sweep file: what it means, and what it may not overrule."""

from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.driver.memory_range import memory_sizes
from orchestrator.spec.allocation_section import AllocationSection
from tests.orchestrator.spec.test_sweep_spec import spec
from trainers.data.loading import load_data

WIDTH = {"fc_width_1": {"type": "choice", "values": [16, 32]}}
SAMPLED = {**WIDTH, "allocated_bits": {"type": "float", "low": 3, "high": 6}}


def test_bytes_may_have_a_unit() -> None:
    found = spec(space=WIDTH, quantization={"allocation": {"bytes": "60kB"}}).trial_config()
    assert found.allocation.bytes == 60_000


def test_the_reference_has_no_budget() -> None:
    found = spec(space=WIDTH, quantization={"allocation": {"bits": 3.0}}, reference=True)
    assert not found.reference_config().allocation.active
    assert found.trial_config().allocation.active


def test_a_sweep_without_a_budget_is_what_it_was() -> None:
    assert "allocation" not in spec().identity()["quantization"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"space": WIDTH, "quantization": {"allocation": {"bits": 3.0}, "fc_bits": 4}}, "fc_bits"),
        ({"space": {**SAMPLED, "bits_2": {"type": "int", "low": 2, "high": 4}}}, "bits_2 would"),
        ({"space": SAMPLED, "quantization": {"bits": 4}}, "bits: 4 and fc_bits: 32"),
        ({"quantization": {"allocation": {"bytes": 60_000.0}}}, "bits, fc_bits would be"),
        ({"space": WIDTH, "quantization": {"allocation": {"bits": 9.0}}}, "from 2 to 8"),
        ({"space": WIDTH, "quantization": {"allocation": {"bits": 3.0}, "qat": "lsq"}}, "qat"),
    ],
)
def test_bits_are_decided_once(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        spec(**changes)


def test_a_check_knows_the_range_of_sizes() -> None:
    sampled = spec(space=SAMPLED, constraints=[])
    data = load_data(sampled.data_config())
    sizes, refused = memory_sizes(sampled, data)
    assert not refused
    given = spec(space=WIDTH, constraints=[], quantization={"allocation": {"bytes": "40kB"}})
    assert max(memory_sizes(given, data)[0]) == 40_000 < max(sizes)
    small = spec(space=WIDTH, constraints=[], quantization={"allocation": {"bytes": "10kB"}})
    sizes, refused = memory_sizes(small, data)
    assert not sizes
    assert all("raise the budget" in reason for reason in refused)


def test_a_sweep_of_before_rounded_was_a_key_is_the_same() -> None:
    assert AllocationSection(bits=3.0).model_dump(exclude_none=True) == {"bits": 3.0, "images": 64}
    assert not AllocationSection(bits=3.0).as_allocation().rounded
    assert AllocationSection(bits=3.0, rounded=True).as_allocation().rounded
