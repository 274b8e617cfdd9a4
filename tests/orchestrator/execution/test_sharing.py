"""How sweeps divide a cluster: nobody starves, nothing is idle, and all compute the same."""

import math

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.execution.sharing import fair_slots

WANTS = st.dictionaries(
    st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0]), min_size=1
)


@given(st.integers(1, 64), WANTS)
def test_nothing_is_idle_and_nothing_is_promised_twice(
    fitting: int, wants: dict[str, float]
) -> None:
    counts = {name: fair_slots(fitting, wants, name) for name in wants}
    wanted = {name: math.ceil(want * fitting) for name, want in wants.items()}
    # Whoever wants nothing, or comes when there are more sweeps than slots, counts on one.
    used = sum(min(counts[name], wanted[name]) for name in wants)
    assert used >= min(fitting, sum(wanted.values()))
    if fitting >= len(wants):
        assert used == min(fitting, sum(wanted.values()))
    assert min(counts.values()) >= 1


@given(st.integers(1, 64), WANTS)
def test_those_who_want_more_than_they_get_get_the_same(
    fitting: int, wants: dict[str, float]
) -> None:
    counts = {name: fair_slots(fitting, wants, name) for name in wants}
    hungry = [count for name, count in counts.items() if count < wants[name] * fitting]
    if hungry:
        assert max(counts.values()) - min(hungry) <= 1


def test_what_others_do_not_want_is_used() -> None:
    assert fair_slots(8, {"a": 0.25, "b": 1.0}, "b") == 6
    assert fair_slots(8, {"a": 0.0, "b": 1.0}, "b") == 8
    assert fair_slots(8, {"b": 1.0}, "b") == 8
    assert fair_slots(1, {"a": 1.0, "b": 1.0}, "b") == 1
