import random
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.determinism import borrowed_generators, derive_seed, seed_everything, set_threads


def test_a_derived_seed_is_the_same_in_every_process_and_version() -> None:
    # Recorded trials are repeated by it.
    assert derive_seed(0) == 7520536977032167579
    assert derive_seed(0, "head", 1) == 638917654877582844


@given(st.integers(0, 2**40), st.integers(0, 50), st.integers(0, 50))
def test_other_purposes_have_other_seeds(seed: int, first: int, second: int) -> None:
    assert 0 <= derive_seed(seed, "epoch", first) < 2**63
    assert (derive_seed(seed, first) == derive_seed(seed, second)) == (first == second)
    assert derive_seed(seed, "a", "b") != derive_seed(seed, "ab")
    assert derive_seed(seed, 1) != derive_seed(seed, "1")


def test_seeding_repeats_the_global_generators() -> None:
    draws = []
    for _ in range(2):
        seed_everything(2**40 + 1)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))  # noqa: NPY002
    assert draws[0] == draws[1]


def test_threads_are_set_and_zero_is_refused() -> None:
    before = torch.get_num_threads()
    try:
        set_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    with pytest.raises(ValueError, match="at least one thread"):
        set_threads(0)


def test_threads_that_borrow_the_generators_leave_them_as_they_were() -> None:
    begun, inside, over = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with borrowed_generators():
            torch.manual_seed(1)
            begun.set()
            inside.wait(0.2)  # The other one must not come in.
        over.set()

    def second() -> None:
        begun.wait()
        with borrowed_generators():
            inside.set()
            over.wait(0.2)

    before = torch.random.get_rng_state()
    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(torch.random.get_rng_state(), before)
