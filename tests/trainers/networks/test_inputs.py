import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from trainers.networks.inputs import InputTransform, to_unit
from trainers.networks.spec import InputSpec

GREY = InputSpec(1, 28, 28, (0.25,), (0.5,))
COLOUR = InputSpec(3, 32, 32, (0.1, 0.2, 0.3), (0.5, 0.25, 0.125))


@pytest.mark.parametrize("spec", [GREY, COLOUR])
def test_a_spec_survives_json(spec: InputSpec) -> None:
    assert InputSpec.from_mapping(json.loads(json.dumps(spec.as_mapping()))) == spec


def test_pixels_of_the_right_size_are_normalised_and_no_more() -> None:
    pixels = torch.rand(2, 3, 32, 32)
    prepared = InputTransform(COLOUR)(pixels)
    for channel in range(3):
        expected = (pixels[:, channel] - COLOUR.mean[channel]) / COLOUR.std[channel]
        assert torch.allclose(prepared[:, channel], expected)


def test_grey_becomes_three_equal_channels() -> None:
    spec = InputSpec(3, 8, 8, (0.0,) * 3, (1.0,) * 3)
    pixels = torch.rand(2, 1, 8, 8)
    assert torch.equal(InputTransform(spec)(pixels), pixels.repeat(1, 3, 1, 1))


def test_colour_becomes_grey_as_in_pillow() -> None:
    spec = InputSpec(1, 8, 8, (0.0,), (1.0,))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    ours = InputTransform(spec)(to_unit(torch.tensor(pixels)).permute(2, 0, 1)[None])[0, 0]
    theirs = to_unit(torch.tensor(np.asarray(Image.fromarray(pixels).convert("L"))))
    # Pillow rounds to whole grey levels.
    assert (ours - theirs).abs().max() <= 1.01 / 255


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (28, 57), (1, 1)])
def test_any_size_comes_out_at_the_wanted_one(size: tuple[int, int]) -> None:
    prepared = InputTransform(GREY)(torch.full((1, 1, *size), 0.75))
    assert prepared.shape == (1, 1, 28, 28)
    # A flat picture stays flat, whichever way it is scaled.
    assert torch.allclose(prepared, torch.ones(()), atol=1e-6)


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    # At three to one, sampling without averaging would meet whole pixels.
    checkers = (torch.arange(84)[:, None] + torch.arange(84)) % 2
    prepared = InputTransform(GREY)(checkers.float()[None, None])
    inner = prepared[..., 2:-2, 2:-2] * 0.5 + 0.25
    assert (inner - 0.5).abs().max() < 0.05


def test_attacks_find_a_gradient_at_the_pixels() -> None:
    pixels = torch.rand(2, 3, 50, 40, requires_grad=True)
    transform = InputTransform(GREY)
    functional.relu(transform(pixels)).sum().backward()
    assert pixels.grad is not None
    assert torch.isfinite(pixels.grad).all()
    assert (pixels.grad != 0).any()
    assert list(transform.state_dict()) == []


@pytest.mark.parametrize("change", ["contiguous", "last", "slice", "row", "number"])
def test_pixels_on_a_cpu_are_divided_to_the_last_bit_and_stay_laid_out(change: str) -> None:
    every = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(2, 3, 16, 8)
    given = {
        "contiguous": every,
        "last": every.to(memory_format=torch.channels_last),
        "slice": every[::2, :, 3:],
        "row": every[0, 0, 0],
        "number": every[0, 0, 0, 7],
    }[change]
    found, wanted = to_unit(given), torch.div(given, 255)
    assert found.dtype is torch.float32
    assert torch.equal(found, wanted)
    assert found.stride() == wanted.stride()


def test_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="1 or 3 channels"):
        InputTransform(GREY)(torch.rand(1, 2, 28, 28))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ((2, 8, 8, (0.0, 0.0), (1.0, 1.0)), "1 or 3"),
        ((1, 0, 8, (0.0,), (1.0,)), "no pixels"),
        ((3, 8, 8, (0.0,), (1.0, 1.0, 1.0)), "as many means"),
        ((1, 8, 8, (0.0,), (0.0,)), "positive"),
        ((1, 8, 8, (0.0,), (math.nan,)), "positive"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(values: tuple, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        InputSpec(*values)


def test_unit_pixels_go_from_zero_to_one() -> None:
    pixels = to_unit(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert pixels.dtype == torch.float32
    assert torch.allclose(pixels, torch.tensor([0.0, 0.2, 1.0]))
