"""Codes as a stream of bits: sizes, round trips, and a second reading of the definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from trainers.quantization import packing
from trainers.quantization.packing import pack_codes, packed_bytes, unpack_codes

BITS = st.integers(2, 8)


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two groups at once, so that short streams cross the borders of chunks too."""
    monkeypatch.setattr(packing, "_GROUPS_AT_ONCE", 2)


@st.composite
def codes_and_bits(draw: st.DrawFn) -> tuple[NDArray[np.int8], int]:
    bits = draw(BITS)
    elements = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9))
    return draw(hnp.arrays(np.int8, shape, elements=elements)), bits


def stream_by_definition(codes: NDArray[np.int8], bits: int) -> bytes:
    """The stream as one large integer: slow, and nothing else than the definition."""
    total = sum((int(c) % 2**bits) << (bits * i) for i, c in enumerate(codes.flatten()))
    return total.to_bytes(math.ceil(codes.size * bits / 8), "little")


@pytest.mark.usefixtures("_small_chunks")
@given(codes_and_bits())
@pytest.mark.slow
def test_packed_codes_come_back(case: tuple[NDArray[np.int8], int]) -> None:
    codes, bits = case
    restored = unpack_codes(pack_codes(codes, bits), bits, codes.size)
    assert restored.dtype == np.int8
    np.testing.assert_array_equal(restored, codes.reshape(-1))


@pytest.mark.usefixtures("_small_chunks")
@given(codes_and_bits())
def test_the_stream_is_what_the_definition_says(case: tuple[NDArray[np.int8], int]) -> None:
    codes, bits = case
    assert pack_codes(codes, bits).tobytes() == stream_by_definition(codes, bits)


@pytest.mark.parametrize("bits", range(2, 9))
def test_a_long_stream_comes_back(bits: int) -> None:
    count = 8 * (1 << 18) + 5
    high = 2 ** (bits - 1)
    codes = np.random.default_rng(bits).integers(-high, high, count).astype(np.int8)
    packed = pack_codes(codes, bits)
    assert packed.nbytes == packed_bytes(count, bits)
    np.testing.assert_array_equal(unpack_codes(packed, bits, count), codes)


@given(st.integers(0, 10**15), BITS)
def test_the_size_is_the_formula_rounded_up(count: int, bits: int) -> None:
    assert 8 * packed_bytes(count, bits) - count * bits in range(8)


@pytest.mark.parametrize("bits", range(2, 9))
def test_no_codes_are_no_bytes(bits: int) -> None:
    packed = pack_codes(np.empty(0, np.int8), bits)
    assert packed.shape == (0,)
    assert unpack_codes(packed, bits, 0).shape == (0,)


def test_codes_are_read_in_c_order_whatever_their_layout() -> None:
    codes = np.arange(-4, 4, dtype=np.int8).reshape(2, 4)
    np.testing.assert_array_equal(pack_codes(codes, 4), pack_codes(np.asfortranarray(codes), 4))


def test_a_code_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"codes lie in \[-5, 3\], and 3 bits hold"):
        pack_codes(np.array([-5, 3], np.int8), 3)


def test_a_stream_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="3 codes of 4 bits are 2 bytes"):
        unpack_codes(np.zeros(3, np.uint8), 4, 3)


def test_bits_after_the_last_code_are_refused() -> None:
    with pytest.raises(ValueError, match="after the last of 3 codes"):
        unpack_codes(np.array([0, 0x10], np.uint8), 4, 3)


@pytest.mark.parametrize("bits", [1, 9])
def test_bits_out_of_range_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"bits is {bits}"):
        pack_codes(np.zeros(1, np.int8), bits)
    with pytest.raises(ValueError, match=f"bits is {bits}"):
        unpack_codes(np.zeros(1, np.uint8), bits, 1)
