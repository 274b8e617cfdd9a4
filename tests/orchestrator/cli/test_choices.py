"""``pick --trial``: a choice of one's own is stored, shown, and taken back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from orchestrator.storage.opening import open_store

Call = Callable[..., Result]


def stored(home: Path) -> list[tuple[int, str, str]]:
    store = open_store(f"sqlite:///{home / 'paretune.db'}")
    return [(each.trial, each.kind.value, each.note) for each in store.choices("digits-fc")]


def test_a_choice_is_stored_with_its_reason(filled: Path, call: Call) -> None:
    result = call("pick", "digits-fc", "--trial", 2, "--note", "small <b>", "--format", "json")
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    assert (record["trial"], record["choice"]["kind"]) == (2, "picked")
    assert record["reason"] == "Trial 2 is your choice."
    assert stored(filled) == [(2, "picked", "small <b>")]
    shown = json.loads(call("show", "digits-fc", 2, "--format", "json").stdout)
    assert shown["choice"] == record["choice"]
    assert "small <b>" in call("show", "digits-fc", 2).stdout
    assert "choice" not in json.loads(call("show", "digits-fc", 1, "--format", "json").stdout)


def test_a_trial_off_the_front_may_be_a_candidate_and_says_so(filled: Path, call: Call) -> None:
    result = call("pick", "digits-fc", "--trial", 3, "--candidate")
    assert "Trial 3 is a candidate, and not on the front." in result.stdout
    assert stored(filled) == [(3, "candidate", "")]
    call("pick", "digits-fc", "--trial", 3, "--withdraw")
    assert stored(filled) == []
    assert call("pick", "digits-fc", "--trial", 3, "--withdraw").exit_code == 1


def test_a_computed_choice_is_stored_only_with_a_note(filled: Path, call: Call) -> None:
    assert call("pick", "digits-fc", "--under", "memory_bytes=30kB").exit_code == 0
    assert stored(filled) == []
    call("pick", "digits-fc", "--under", "memory_bytes=30kB", "--note", "the board has 32 kB")
    assert stored(filled) == [(1, "picked", "the board has 32 kB")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trial", 5), "only a complete trial can be chosen"),
        (("--trial", 2, "--knee"), "no other way to choose"),
        (("--trial", 2, "--note", "x" * 2_001), "at most 2,000 characters"),
        (("--withdraw",), "need --trial"),
        (("--trial", 2, "--withdraw", "--candidate"), "use one"),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    filled: Path, call: Call, words: tuple[object, ...], said: str
) -> None:
    result = call("pick", "digits-fc", *words)
    assert result.exit_code == 2
    assert said in result.output
    assert stored(filled) == []
