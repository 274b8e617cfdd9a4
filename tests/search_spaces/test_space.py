"""Spaces: what is active, what is accepted, how many configurations there are."""

import copy
import itertools
import pickle
import random
import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from search_spaces import (
    AnyOf,
    Choice,
    Comparison,
    Condition,
    Float,
    Int,
    Not,
    SearchSpace,
    SpaceError,
    load_space,
    parse_space,
)
from search_spaces.space import MAX_PARAMETERS


def seeded(seed: int) -> random.Random:
    return random.Random(seed)


def space(
    conditions: dict[str, str] | None = None, **domains: Int | Float | Choice
) -> SearchSpace:
    parsed = {name: Condition.parse(text) for name, text in (conditions or {}).items()}
    return SearchSpace(domains, parsed)


HEAD = space(
    {"width_2": "layers >= 2", "slope": "width_2 >= 64"},
    width_2=Int(16, 128, log=True),
    slope=Float(0, 0.3, step=0.1),
    layers=Int(1, 2),
    bits=Choice((2, 4, 8)),
)


def problems(space: SearchSpace, params: object) -> list[str]:
    with pytest.raises(SpaceError) as caught:
        space.check(params)
    return [str(problem) for problem in caught.value.problems]


def test_parents_come_first_and_otherwise_the_order_written_stays():
    assert HEAD.names == ("layers", "width_2", "slope", "bits")


def test_active_tells_step_by_step_what_to_choose_next():
    assert HEAD.active({}) == ("layers", "bits")
    assert HEAD.active({"layers": 2}) == ("layers", "width_2", "bits")
    assert HEAD.active({"layers": 2, "width_2": 64}) == HEAD.names


def test_a_value_of_an_inactive_parameter_activates_nothing():
    assert HEAD.active({"layers": 1, "width_2": 128, "bits": 2}) == ("layers", "bits")


def test_check_tells_everything_that_is_wrong_at_once():
    assert problems(HEAD, {"layers": 1, "width_2": 64, "bits": 7, "bit": 4}) == [
        "Unknown parameter 'bit'. Did you mean 'bits'?",
        "width_2: Parameter 'width_2' is not active here: it needs layers >= 2. Leave it out.",
        "bits: Parameter 'bits' is 7, but needs to be one of 2, 4, 8.",
    ]
    assert problems(HEAD, {"layers": 2, "bits": 2}) == [
        "width_2: Parameter 'width_2' is missing; it is a whole number from 16 to 128."
    ]


@pytest.mark.parametrize("layers", [{}, {"layers": 9}, {"layers": None}])
def test_nothing_is_said_of_parameters_that_hang_on_a_wrong_one(layers):
    for rest in ({"bits": 2}, {"bits": 2, "width_2": 64, "slope": 0.1}):
        (problem,) = problems(HEAD, {**layers, **rest})
        assert problem.startswith("layers: ")


def test_check_refuses_values_that_are_no_values():
    for bad in (None, [1], {"a": 1}, float("nan"), True):
        assert len(problems(HEAD, {"layers": 1, "bits": bad})) == 1


def test_canonical_is_one_form_for_all_spellings():
    one = HEAD.canonical({"slope": 0.1 + 0.1 + 0.1, "bits": 2, "width_2": 64, "layers": 2})
    assert list(one.items()) == [("layers", 2), ("width_2", 64), ("slope", 0.3), ("bits", 2)]
    assert HEAD.canonical({"layers": 1, "bits": 2, "width_2": 64}) == {"layers": 1, "bits": 2}


def test_canonical_refuses_what_check_refuses():
    for params in ({}, {"layers": 1}, {"layers": 1, "bits": 3}, {"layers": 1, "bits": 2, "x": 1}):
        with pytest.raises(SpaceError):
            HEAD.canonical(params)


def test_size_counts_with_conditions():
    # One layer; two layers below width 64; two layers from width 64, with four slopes.
    assert HEAD.size == (1 + 48 + 65 * 4) * 3


def test_size_of_large_ranges_is_counted_not_listed():
    large = space(
        {"b": "a >= 500_000", "c": "b != 7"},
        a=Int(1, 10**12),
        b=Int(1, 10**9, 2),
        c=Choice(("x", "y")),
    )
    below, above, odd = 499_999, 10**12 - 499_999, 5 * 10**8
    assert large.size == below + above * ((odd - 1) * 2 + 1)


def test_size_of_many_conditions_is_counted_in_one_pass():
    names = [f"p{i}" for i in range(60)]
    domains = dict.fromkeys(names, Int(0, 1)) | {f"c{i}": Int(0, 9) for i in range(60)}
    conditions = {f"c{i}": f"p{i} == 1" for i in range(60)}
    assert space(conditions, **domains).size == 11**60


@pytest.mark.parametrize(
    ("when", "size"),
    [
        ("a == 1 or b == 1", 4 + 5 * 7),
        ("not (a == 1 or b == 1)", 5 + 4 * 7),
        ("a == 1 and b == 1 or a == 2 and b == 2", 7 + 2 * 7),
        ("2 <= a <= 3 and not b == 2", 5 + 4 * 7),
        # For each a: b is 1 or 3 and d is not there; or b is 2 and c is 1 or 2.
        ("c == 1", 3 * (2 + 1 + 7)),
        ("not c == 1", 3 * (2 + 1 + 7)),
        ("c == 1 or a == 1", 2 * (2 + 1 + 7) + 4 * 7),
    ],
)
def test_size_counts_with_or_and_not(when, size):
    conditions = {"d": when} | ({"c": "b == 2"} if "c" in when else {})
    domains = {"a": Int(1, 3), "b": Int(1, 3), "c": Int(1, 2), "d": Int(1, 7)}
    counted = space(conditions, **{n: domains[n] for n in domains if n in "abd" or "c" in when})
    assert counted.size == len(list(counted.grid())) == size


def test_size_with_values_that_are_equal_but_of_another_type():
    mixed = space(
        {"d": "p == 1 and a == 1 or p == 2 and a == true"},
        p=Int(1, 2),
        a=Choice((1, True, "x")),
        d=Int(1, 7),
    )
    assert mixed.size == len(list(mixed.grid())) == 2 * (7 + 2)


def test_a_parameter_waits_for_its_parents_under_not_too():
    waiting = space({"momentum": "not (optimizer == 'adam')", "optimizer": "tune == true"},
                    tune=Choice((True, False)), optimizer=Choice(("sgd", "adam")),
                    momentum=Float(0, 1))  # fmt: skip
    assert waiting.active({"tune": True}) == ("tune", "optimizer")
    assert waiting.active({"tune": True, "optimizer": "sgd"})[-1] == "momentum"
    assert waiting.active({"tune": False}) == ("tune",)


def test_only_an_active_continuous_parameter_makes_a_space_endless():
    rate = Float(0, 1)
    assert space(rate=rate, bits=Int(1, 2)).size is None
    assert space({"rate": "bits == 1"}, rate=rate, bits=Int(1, 2)).size is None
    assert space({"rate": "bits == 1 and bits == 2"}, rate=rate, bits=Int(1, 2)).size == 2
    assert space(rate=Float(0.5, 0.5)).size == 1


def test_an_endless_grid_is_refused_at_once_by_name():
    with pytest.raises(ValueError, match="no finite grid: rate can be any number"):
        space(rate=Float(0, 1), bits=Int(1, 2)).grid()


def test_a_grid_is_lazy():
    huge = space(**{name: Int(1, 10**6) for name in "abcdef"})
    assert len(list(itertools.islice(huge.grid(), 10))) == 10


@st.composite
def finite_spaces(draw: st.DrawFn) -> SearchSpace:
    domain = st.one_of(
        st.builds(lambda low, n, step: Int(low, low + n, step), *[st.integers(1, 4)] * 3),
        st.just(Float(0, 0.3, step=0.1)),
        st.sampled_from([(1, 2), (1, 1.0, True), ("a", "b", 3), (False, True)]).map(Choice),
    )
    domains = dict(zip("abcd", draw(st.lists(domain, min_size=1, max_size=4)), strict=False))
    conditions = {}
    names = draw(st.permutations(list(domains)))
    for index, name in enumerate(names):
        tests = []
        for parent in draw(st.lists(st.sampled_from(names[:index] or [name]), max_size=3)):
            value = draw(st.sampled_from(list(domains[parent].values())))
            ordered = ["<=", ">="] if not isinstance(domains[parent], Choice) else []
            symbol = draw(st.sampled_from(["==", "!=", "in", "not in", *ordered]))
            if parent != name:
                comparison = Comparison(parent, symbol, (value,))
                tests.append(draw(st.sampled_from([comparison, Not(comparison)])))
        if tests:
            joined = draw(st.sampled_from([Condition, AnyOf])) if len(tests) > 1 else Condition
            whole = draw(st.sampled_from([joined(tuple(tests)), Not(joined(tuple(tests)))]))
            conditions[name] = Condition((whole,))
    try:
        return SearchSpace(domains, conditions)
    except SpaceError as error:  # not x <= 4, where no x is above 4
        assume("can never hold" not in str(error))
        raise


def typed(params: dict[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple((name, repr(value)) for name, value in params.items())


@pytest.mark.slow
@given(finite_spaces())
@settings(max_examples=200)
def test_size_grid_and_blind_enumeration_agree(space):
    grid = list(space.grid())
    names = list(space.domains)
    product = itertools.product(*(space.domains[name].values() for name in names))
    blind = {typed(space.canonical(dict(zip(names, row, strict=True)))) for row in product}
    assert len(grid) == space.size == len(blind)
    assert set(map(typed, grid)) == blind


@pytest.mark.slow
@given(finite_spaces(), st.integers(0, 2**32))
def test_everything_drawn_and_listed_is_accepted_and_canonical(space, seed):
    for params in (space.sample(seeded(seed)), next(space.grid())):
        space.check(params)
        assert typed(space.canonical(params)) == typed(params)
        assert tuple(params) == space.active(params)


@pytest.mark.slow
@given(finite_spaces())
def test_a_space_reads_back_from_its_plain_form(space):
    again = parse_space(space.as_mapping(), name=space.name)
    assert again == space
    assert again.fingerprint() == space.fingerprint()


def test_sampling_depends_on_its_generator_alone():
    space = load_space("full_finetune")
    draws = [[space.sample(seeded(seed)) for seed in range(20)] for _ in range(2)]
    assert draws[0] == draws[1]
    assert len({typed(params) for params in draws[0]}) == 20


def test_a_fingerprint_is_of_the_meaning_not_the_spelling():
    one = parse_space({"a": {"type": "float", "low": 0, "high": 1}, "b": bits([2, 4])})
    two = parse_space(
        {
            "b": bits([2, 4]),
            "a": {"type": "float", "low": 0.0, "high": 1.0, "log": False},
        },
        name="other",
    )
    assert one.fingerprint() == two.fingerprint()
    assert len(one.fingerprint()) == 64
    assert set(one.fingerprint()) <= set(string.hexdigits)


def bits(values: list[object]) -> dict[str, object]:
    return {"type": "choice", "values": values}


def test_every_change_of_meaning_changes_the_fingerprint():
    base = {"a": bits([1, 2]), "b": {"type": "int", "low": 1, "high": 8}}
    changed = [
        base,
        base | {"a": bits([1, 3])},
        base | {"a": bits([1.0, 2])},
        base | {"a": bits([True, 2])},
        base | {"b": {"type": "int", "low": 1, "high": 9}},
        base | {"b": {"type": "int", "low": 1, "high": 8, "log": True}},
        base | {"b": {"type": "float", "low": 1, "high": 8}},
        base | {"b": {"type": "int", "low": 1, "high": 8, "when": "a == 1"}},
        base | {"c": bits([1])},
    ]
    assert len({parse_space(data).fingerprint() for data in changed}) == len(changed)


def test_a_space_does_not_change_with_the_mapping_it_came_from():
    domains = {"a": Int(1, 2)}
    space = SearchSpace(domains)
    domains["b"] = Int(1, 2)
    assert space.names == ("a",)
    assert list(space.domains) == ["a"]


def test_a_space_survives_pickling_and_copying():
    for twin in (pickle.loads(pickle.dumps(HEAD)), copy.deepcopy(HEAD)):  # noqa: S301
        assert twin == HEAD
        assert twin.names == HEAD.names


@pytest.mark.parametrize(
    ("domains", "conditions", "words"),
    [
        ({}, {}, "A space has 1 to 200 parameters, this one has 0"),
        ({f"p{i}": Int(1, 2) for i in range(MAX_PARAMETERS + 1)}, {}, "has 201"),
        ({"fc-width": Int(1, 2)}, {}, "'fc-width' cannot name a parameter"),
        ({"lambda": Int(1, 2)}, {}, "cannot name a parameter"),
        ({"true": Int(1, 2)}, {}, "cannot name a parameter"),
        ({"a" * 65: Int(1, 2)}, {}, "cannot name a parameter"),
        ({"a": Int(1, 2)}, {"b": "a == 1"}, "condition for 'b', which has no domain"),
        ({"a": Int(1, 2)}, {"a": "c == 1"}, "'c', which this space does not have"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(domains, conditions, words):
    with pytest.raises(SpaceError) as caught:
        space(conditions, **domains)
    assert words in str(caught.value)
