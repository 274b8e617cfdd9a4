"""Domains hold what they say, list it, draw from it and write it down."""

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from search_spaces import Choice, Float, Int


def seeded(seed: int) -> random.Random:
    return random.Random(seed)


wholes = st.integers(-1000, 1000)
ints = st.builds(
    lambda low, width, step: Int(low, low + width, step),
    wholes,
    st.integers(0, 60),
    st.integers(1, 9),
)
stepped = st.builds(
    lambda low, count, step: Float(low / 100, (low + count * step) / 100, step=step / 100),
    wholes,
    st.integers(0, 60),
    st.integers(1, 99),
)
choices = st.lists(
    st.booleans() | wholes | st.sampled_from([0.5, 1.0, 2.0, "a", "b", "1", ""]),
    min_size=1,
    max_size=8,
    unique_by=lambda v: (type(v), v),
).map(lambda values: Choice(tuple(values)))
logs = st.builds(
    lambda kind, low, width: kind(low, low + width, log=True),
    st.sampled_from([Int, Float]),
    st.integers(1, 1000),
    st.integers(0, 1000),
)


@given(ints | stepped | choices)
def test_a_finite_domain_lists_as_many_values_as_it_has_and_holds_them_all(domain):
    values = list(domain.values())
    assert len(values) == domain.size == len({(type(v), v) for v in values})
    assert all(map(domain.contains, values))
    assert values == [domain.at(index) for index in range(domain.size)]
    assert [domain.canonical(value) for value in values] == values


@given(ints | stepped | choices | logs, st.integers(0, 2**32))
def test_what_is_drawn_belongs_to_the_domain_and_is_canonical(domain, seed):
    value = domain.sample(seeded(seed))
    assert domain.contains(value)
    assert domain.canonical(value) == value
    assert domain.sample(seeded(seed)) == value


@given(ints, wholes)
def test_an_int_holds_exactly_what_it_lists(domain, value):
    assert domain.contains(value) == (value in list(domain.values()))


@pytest.mark.slow
@given(stepped, st.integers(0, 60), st.floats(-0.4, 0.4))
def test_a_float_on_a_grid_holds_grid_values_despite_rounding_and_nothing_between(
    domain, index, offset
):
    assume(index < domain.size and domain.size > 1)
    added = sum([domain.step] * index, domain.low)  # rounding errors add up, as in a sampler
    assert domain.contains(added)
    assert domain.canonical(added) == list(domain.values())[index]
    assume(abs(offset) > 1e-3)
    assert not domain.contains(domain.at(index) + offset * domain.step)


def test_a_grid_of_tenths_has_the_numbers_people_write():
    assert list(Float(0, 0.5, step=0.1).values()) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_high_end_off_the_grid_is_not_a_value():
    assert list(Int(1, 10, 4).values()) == [1, 5, 9]
    assert list(Float(0, 1, step=0.4).values()) == [0.0, 0.4, 0.8]
    assert not Int(1, 10, 4).contains(10)
    assert not Float(0, 1, step=0.4).contains(1.0)


def test_types_are_told_apart():
    assert not Int(0, 2).contains(True)
    assert not Int(0, 2).contains(2.0)
    assert not Float(0, 2).contains(True)
    assert not Float(0, 2).contains("1")
    assert Float(0, 2).contains(1)
    assert repr(Float(0, 2).canonical(1)) == "1.0"
    mixed = Choice((1, 1.0, True, "1"))
    assert mixed.size == 4
    assert not Choice((1,)).contains(True)
    assert not Choice((1,)).contains(1.0)
    assert len({Choice((1,)), Choice((1.0,)), Choice((True,)), Choice(("1",))}) == 4


@pytest.mark.parametrize("domain", [Int(1, 8), Float(0, 1), Float(0, 1, step=0.5), Choice((1,))])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, [1], {}, "1", 10**400])
def test_strange_values_are_in_no_domain(domain, value):
    assert not domain.contains(value)


def test_only_uncountable_floats_have_no_size():
    assert Float(0, 1).size is None
    assert Float(0.5, 0.5).size == 1
    assert list(Float(0.5, 0.5).values()) == [0.5]
    with pytest.raises(ValueError, match="need a step"):
        Float(0, 1).values()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Int(9, 3), "low 9 is above high 3"),
        (lambda: Int(1.0, 3), "low is 1.0, but needs to be a whole number"),
        (lambda: Int(1, True), "high is True"),
        (lambda: Int(1, 2**54), "high is"),
        (lambda: Int(1, 3, 0), "step 0 must be above 0"),
        (lambda: Int(1, 3, -1), "step -1 must be above 0"),
        (lambda: Int(0, 3, log=True), "needs low above 0"),
        (lambda: Int(1, 3, 2, log=True), "exclude each other"),
        (lambda: Int(1, 3, log="yes"), "log is 'yes', but needs to be true or false"),
        (lambda: Float(1, 0.5), "low 1.0 is above high 0.5"),
        (lambda: Float(math.nan, 1), "low is nan, but needs to be a finite number"),
        (lambda: Float(0, math.inf), "high is inf"),
        (lambda: Float(0, "1"), "high is '1'"),
        (lambda: Float(0, 1, log=True), "needs low above 0"),
        (lambda: Float(1, 2, log=True, step=0.5), "exclude each other"),
        (lambda: Float(0, 1, step=0), "step 0.0 must be above 0"),
        (lambda: Float(0, 1, step=math.nan), "step is nan"),
        (lambda: Float(0, 1, step=1e-12), "too fine"),
        (lambda: Float(1e16, 1e16 + 4, step=1.5), "too fine"),
        (lambda: Float(-1.7e308, 1.7e308), "wider than a float"),
        (lambda: Choice(()), "values is empty"),
        (lambda: Choice((2, 4, 2)), "holds 2 twice"),
        (lambda: Choice((0.0, -0.0)), "twice"),
        (lambda: Choice((1, math.nan)), "A value is nan"),
        (lambda: Choice((1, None)), "A value is None"),
        (lambda: Choice(([1], 2)), "A value is \\[1\\]"),
    ],
)
def test_a_domain_that_makes_no_sense_is_refused_in_a_sentence(build, words):
    with pytest.raises(ValueError, match=words):
        build()


@pytest.mark.parametrize("kind", [Int, Float])
def test_log_draws_as_often_between_1_and_10_as_between_10_and_100(kind):
    rng = seeded(0)
    drawn = [kind(1, 100, log=True).sample(rng) for _ in range(4_000)]
    # Standard deviation 0.008; the halves of an integer range reach from 0.5 and to 100.5.
    assert sum(value < 10 for value in drawn) / 4_000 == pytest.approx(0.5, abs=0.06)


def test_log_draws_the_ends_of_an_int_range_as_often_as_their_share_of_the_logarithm():
    rng = seeded(0)
    ones = sum(Int(1, 2, log=True).sample(rng) == 1 for _ in range(4_000)) / 4_000
    assert ones == pytest.approx(math.log(1.5 / 0.5) / math.log(2.5 / 0.5), abs=0.04)


@pytest.mark.parametrize(
    "domain", [Int(0, 3), Int(0, 9, 3), Float(0, 0.3, step=0.1), Choice(("a", 1, 1.0, True))]
)
def test_values_of_a_linear_domain_are_drawn_equally_often(domain):
    rng = seeded(0)
    drawn = Counter(repr(domain.sample(rng)) for _ in range(4_000))
    assert len(drawn) == 4
    assert all(count == pytest.approx(1_000, abs=120) for count in drawn.values())


def test_domains_read_as_what_they_accept():
    texts = map(
        str, [Int(1, 8), Int(0, 8, 2), Float(0, 1), Float(0, 1, step=0.5), Choice((2, "a"))]
    )
    assert list(texts) == [
        "a whole number from 1 to 8",
        "a whole number from 0 to 8 in steps of 2",
        "a number from 0.0 to 1.0",
        "a number from 0.0 to 1.0 in steps of 0.5",
        "one of 2, 'a'",
    ]
    assert str(Choice(tuple(range(99)))).endswith("18, 19 and 79 more")


def test_all_listed_values_come_in_order_even_in_a_huge_range():
    huge = Int(0, 2**53 - 1)
    assert huge.size == 2**53
    assert list(itertools.islice(huge.values(), 3)) == [0, 1, 2]
