"""Records as tables, JSON and CSV."""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.constraints import Constraint
from orchestrator.fronts.front import compute_front
from orchestrator.objectives import Objective
from orchestrator.reporting.tables import (
    as_csv,
    as_json,
    count_states,
    front_heading,
    front_table,
    merged_names,
    trials_table,
)
from orchestrator.trials import Trial, TrialState

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.text(), NUMBERS | st.text() | st.none())))
def test_json_reads_back_as_it_was(records: list[dict[str, object]]) -> None:
    assert json.loads(as_json(records)) == records


def test_json_has_null_where_a_number_is_not_finite() -> None:
    text = as_json([{"values": {"loss": math.nan, "x": -math.inf}}])
    assert json.loads(text) == [{"values": {"loss": None, "x": None}}]


def test_columns_of_parameters_stand_as_in_the_space_though_not_every_trial_has_each() -> None:
    narrow, deep = {"fc_layers": 1, "bits": 4}, {"fc_layers": 2, "fc_width_2": 8, "bits": 4}
    assert merged_names([narrow, deep]) == ["fc_layers", "fc_width_2", "bits"]
    assert merged_names([{}, deep, narrow]) == ["fc_layers", "fc_width_2", "bits"]
    assert merged_names([]) == []


def test_csv_has_a_column_for_every_name_that_occurs() -> None:
    text = as_csv([{"trial": 0, "params": {"bits": 4}}, {"trial": 1, "params": {"lr": "a,b"}}])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0] == {"trial": "0", "params.bits": "4", "params.lr": ""}
    assert rows[1]["params.lr"] == "a,b"


def printed(terminal: Callable[[int], Console], table: object, width: int = 120) -> str:
    console = terminal(width)
    with console.capture() as capture:
        console.print(table)
    return re.sub(r"\x1b\[[\d;]+m", "", capture.get())


def test_text_of_people_is_never_markup(
    terminal: Callable[[int], Console], trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    assert "[red]sgd" in printed(terminal, trials_table(trials, objectives))


def test_numbers_survive_a_narrow_terminal(
    terminal: Callable[[int], Console], trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    front = compute_front(trials, objectives[:3])
    text = printed(terminal, front_table(front, with_params=False), width=44)
    for part in ("96.0 %", "60.0 kB", "22.4 kB", "70.0 %"):
        assert part in text


def test_many_parameters_share_a_column(
    terminal: Callable[[int], Console], trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    wide = replace(trials[0], params={f"p{n}": n for n in range(12)})
    assert "p0=0 p1=1" in printed(terminal, trials_table([wide], objectives), width=200)


def test_an_inactive_parameter_is_a_dash(
    terminal: Callable[[int], Console], trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    table = trials_table([replace(trials[0], params={"bits": 4}), trials[1]], objectives)
    assert "-" in printed(terminal, table).splitlines()[4].split()


def test_one_trial_and_none_are_tables_too(
    terminal: Callable[[int], Console], trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    assert "accuracy" in printed(terminal, trials_table([], objectives))
    assert "96.0 %" in printed(terminal, trials_table(trials[:1], objectives))


def test_states_are_counted_in_the_order_of_a_trials_life(trials: list[Trial]) -> None:
    mixed = [replace(trials[0], state=TrialState.FAILED), *trials[1:]]
    assert count_states(mixed) == {"complete": 3, "failed": 1}
    assert count_states([]) == {}


@pytest.mark.parametrize(
    ("limit", "said"),
    [("memory_bytes <= 1MB", "3 of 4 complete trials"), ("memory_bytes <= 1", "No trial meets")],
)
def test_the_heading_says_what_the_front_is(
    trials: list[Trial], objectives: Sequence[Objective], limit: str, said: str
) -> None:
    front = compute_front(trials, objectives[:3], [Constraint.parse(limit)])
    assert said in front_heading(front)


def test_the_heading_counts_trials_that_lack_a_number(
    trials: list[Trial], objectives: Sequence[Objective]
) -> None:
    lacking = [replace(trial, values={"accuracy": 0.9}) for trial in trials]
    heading = front_heading(compute_front(lacking, objectives[:2]), "bits < 4")
    assert "The front is empty" in heading
    assert "'bits < 4'" in heading
    assert "4 complete trials lack a number" in heading
