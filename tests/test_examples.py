"""What Hypothesis tries is the same in every run, whatever ran before."""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.skipif(not settings().derandomize, reason="a profile that looks for new examples")
def test_examples_do_not_depend_on_the_modules_that_are_imported(tmp_path: Path) -> None:
    before = drawn()
    module = tmp_path / "constants.py"
    module.write_text(f"NUMBERS = {[10**9 + 7919 * n for n in range(200)]}")
    spec = importlib.util.spec_from_file_location("constants_of_a_test", module)
    assert spec is not None
    assert spec.loader is not None
    with pytest.MonkeyPatch.context() as patch:
        found = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, found)
        spec.loader.exec_module(found)
        assert drawn() == before


def drawn() -> list[int]:
    numbers = []

    @settings(max_examples=200, database=None)
    @given(st.integers())
    def draw(number: int) -> None:
        numbers.append(number)

    draw()
    return numbers
