import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from orchestrator.analysis.statistics.noise import drawn_accuracies, front_probability


def test_the_share_of_draws_in_which_a_trial_is_on_the_front() -> None:
    draws = [
        [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]],
        [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]],  # a tie of the first and the last
        [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]],
        [[0.0, 1.0], [np.nan, 0.0], [0.5, 0.5]],
    ]
    assert front_probability(draws) == pytest.approx([1.0, 0.5, 0.75])


shapes = st.tuples(st.integers(1, 8), st.integers(1, 6), st.integers(1, 3))


@pytest.mark.slow
@given(hnp.arrays(np.float64, shapes, elements=st.integers(0, 5).map(float)))
def test_some_trial_is_on_the_front_of_every_draw(draws) -> None:
    found = front_probability(draws)
    assert ((found >= 0) & (found <= 1)).all()
    assert found.sum() >= 1 - 1e-12


def test_without_noise_the_front_is_certain() -> None:
    losses = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    assert front_probability(np.tile(losses, (5, 1, 1))).tolist() == [1.0, 1.0, 0.0]


def test_drawn_accuracies_have_the_mean_and_the_spread_of_a_binomial() -> None:
    correct = np.zeros((2, 400), bool)
    correct[0, :300], correct[1, :360] = True, True
    for paired in (True, False):
        drawn = drawn_accuracies(correct, 4_000, np.random.default_rng(0), paired=paired)
        assert drawn.shape == (4_000, 2)
        assert drawn.mean(axis=0) == pytest.approx([0.75, 0.9], abs=2e-3)
        expected = np.sqrt(np.array([0.75 * 0.25, 0.9 * 0.1]) / 400)
        assert drawn.std(axis=0) == pytest.approx(expected, rel=0.05)


def test_paired_draws_know_that_hard_images_are_hard_for_all() -> None:
    correct = np.zeros((2, 400), bool)
    correct[0, :300], correct[1, :304] = True, True  # the second gets four images more
    paired = drawn_accuracies(correct, 2_000, np.random.default_rng(0))
    assert (paired[:, 1] >= paired[:, 0]).all()
    alone = drawn_accuracies(correct, 2_000, np.random.default_rng(0), paired=False)
    assert np.mean(alone[:, 1] < alone[:, 0]) > 0.3


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda rng: front_probability(np.zeros((0, 3, 2))), "each at least 1"),
        (lambda rng: front_probability(np.zeros((3, 2))), "each at least 1"),
        (lambda rng: drawn_accuracies(np.zeros((0, 0), bool), 9, rng), "at least 1 image"),
        (lambda rng: drawn_accuracies(np.zeros(3, bool), 9, rng), r"\(trials, images\)"),
        (lambda rng: drawn_accuracies(np.full((2, 3), np.nan), 9, rng), "bools"),
        (lambda rng: drawn_accuracies(np.zeros((2, 3), bool), 0, rng), "at least 1 is needed"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused_in_a_sentence(call, told) -> None:
    with pytest.raises(ValueError, match=told):
        call(np.random.default_rng(0))
