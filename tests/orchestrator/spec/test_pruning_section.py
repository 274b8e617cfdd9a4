"""The section `pruning`: closed, checked where it is read, absent where it changes nothing."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.orchestrator.driving import make_spec
from trainers.pruning import PruningConfig


def test_the_section_is_what_trials_are_pruned_by() -> None:
    given = {"sparsity": 0.9, "granularity": "kernel", "context": "global"}
    spec = make_spec(pruning=given)
    assert spec.trial_config().pruning == PruningConfig(**given)
    assert not spec.reference_config().pruning.active


def test_a_sweep_without_it_is_identified_as_before() -> None:
    assert "pruning" not in make_spec().identity()
    assert not make_spec().trial_config().pruning.active
    assert make_spec(pruning={"sparsity": 0.5}).fingerprint() != make_spec().fingerprint()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sparsity": 1.5}, "0 to 0.999"),
        ({"granularity": "row"}, "'weight' or 'kernel' or 'filter'"),
        ({"sparcity": 0.5}, "sparcity"),
    ],
)
def test_unknown_words_and_values_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        make_spec(pruning=given)
