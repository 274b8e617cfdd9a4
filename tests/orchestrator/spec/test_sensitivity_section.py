"""A sensitivity in a sweep file: bits of single layers that are tried first."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.contracts import nothing_known
from orchestrator.driver.first_bits import allocation_prior
from orchestrator.driver.preflight import check
from orchestrator.driver.samplers import sampler_of
from orchestrator.errors import UsageError
from orchestrator.spec.files import load_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from trainers.quantization.allocation import BIT_WIDTHS

NAMES = ("bits_1", "bits_2", "bits_3", "bits_4", "bits_5", "bits_6", "fc_bits")
# The first layer minds few bits a thousand times as much as the last convolution.
MINDS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.001, 0.1)
ALL_BITS = {"type": "choice", "values": [2, 3, 4, 8]}


def measured(**changes: object) -> dict[str, Any]:
    rows = [
        {
            "number": None if name == "fc_bits" else number,
            "weights": 100,
            "bits": bits,
            "divergence": minds / 4**bits,
        }
        for number, (name, minds) in enumerate(zip(NAMES, MINDS, strict=True), start=1)
        for bits in BIT_WIDTHS
    ]
    return {"backbone": "digitnet", "layers": rows, "notes": [], **changes}


def sweep(folder: Path, found: object = None, **changes: Any) -> SweepSpec:
    (folder / "sensitivity.json").write_text(json.dumps(found or measured()))
    given = {
        "name": "first-bits",
        "backbone": {"name": "digitnet", "weights": "bundled"},
        "data": {"name": "digits"},
        "space": dict.fromkeys(NAMES, ALL_BITS),
        "quantization": {"quantizer": "affine", "sensitivity": "sensitivity.json"},
        "sampler": "tpe",
        "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(given | changes))
    return load_sweep(path)


def test_the_first_proposals_are_allocations_with_bits_of_the_space(tmp_path: Path) -> None:
    spec = sweep(tmp_path)
    prior = allocation_prior(spec)
    assert prior is not None
    assert {bits for each in prior.allocations for bits in each.values()} == {2, 3, 4, 8}
    # A layer that minds more never has fewer bits than another one with as many weights.
    for each in prior.allocations:
        convolutions = [each[name] for name in NAMES[:-1]]
        assert convolutions == sorted(convolutions, reverse=True)
    first = sampler_of(spec, nothing_known).suggest()
    assert first is not None
    assert dict(first.params) in [dict(each) for each in prior.allocations]


def test_layers_that_are_not_sampled_are_left_alone(tmp_path: Path) -> None:
    space = dict.fromkeys(NAMES[:2], ALL_BITS) | {"bits": {"type": "choice", "values": [4]}}
    prior = allocation_prior(sweep(tmp_path, space=space))
    assert prior is not None
    assert {frozenset(each) for each in prior.allocations} == {frozenset(NAMES[:2])}


def test_it_is_part_of_the_sweep_by_its_content_and_of_no_trial(tmp_path: Path) -> None:
    spec = sweep(tmp_path)
    assert check(spec).problems == []
    assert dict(check(spec).lines)["bits"].startswith("allocations by the sensitivity of 7 layers")
    plain = sweep(tmp_path, quantization={"quantizer": "affine"})
    assert plain.trial_config() == spec.trial_config()
    assert allocation_prior(plain) is None
    other = sweep(tmp_path, measured(layers=measured()["layers"][::-1]))
    assert spec.fingerprint() != plain.fingerprint()
    assert other.fingerprint() == spec.fingerprint()  # the order of its rows says nothing


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"found": {"backbone": "digitnet"}}, "is no sensitivity of layers at 2 to 8 bits"),
        ({"found": measured(layers=measured()["layers"][:5])}, "is no sensitivity of layers"),
        ({"found": measured(backbone="vgg11")}, "measured on vgg11, and the sweep has digitnet"),
        ({"space": {"bits": ALL_BITS}}, "the space samples none: add bits_1, bits_2"),
        ({"space": {"bits_9": ALL_BITS}}, "it knows bits_1, .* and not bits_9"),
        ({"sampler": "grid"}, "a grid tries all bits anyway"),
        ({"sampler": "model"}, "the sampler model follows no prior, which tpe does"),
    ],
)
def test_what_cannot_come_first_is_refused(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        sweep(tmp_path, **changes)


def test_a_section_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    whole: dict[str, Any] = {"backbone": "digitnet", "weights": {"bits_1": 9}}
    for divergences, told in (
        ({"bits_1": [0.1] * 6}, "bits_1 needs its number of weights and 7 divergences"),
        ({}, "bits_1 has weights and no divergences"),
    ):
        section = {**whole, "divergences": divergences}
        with pytest.raises(UsageError, match=told):
            sweep(tmp_path, quantization={"sensitivity": section})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"other\.json cannot be read .* analyze sensitivity"):
        sweep(tmp_path, quantization={"sensitivity": "other.json"})
