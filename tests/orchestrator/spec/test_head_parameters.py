"""Sizing rules, and conditions that keep parameters to the rule they belong to."""

import pytest

from orchestrator.spec.head_parameters import head_problems
from search_spaces import parse_space

RULES = {"type": "choice", "values": ["explicit", "fraction", "pyramid"]}


def told(width: str, **others: object) -> list[str]:
    """What is told of a width that is sampled under a condition."""
    space = parse_space(
        {
            "fc_rule": RULES,
            "fc_width_1": {"type": "int", "low": 8, "high": 64, "when": width},
            **others,
        }
    )
    return [message for _, message in head_problems(space, {"fraction": 0.5})]


@pytest.mark.parametrize(
    "when",
    [
        "fc_rule == 'explicit'",
        "not (fc_rule != 'explicit')",
        "not fc_rule in ['fraction', 'pyramid']",
        "not (fc_rule == 'fraction' or fc_rule == 'pyramid')",
        "fc_rule == 'explicit' and (bits == 4 or bits == 8)",
    ],
)
def test_a_width_for_its_rule_alone_is_fine(when) -> None:
    assert told(when, bits={"type": "choice", "values": [2, 4, 8]}) == []


@pytest.mark.parametrize(
    ("when", "rules"),
    [
        ("fc_rule == 'explicit' or fc_rule == 'fraction'", "fraction"),
        ("fc_rule == 'explicit' or bits == 4", "fraction, pyramid"),
        ("not fc_rule == 'fraction'", "pyramid"),
        ("not (fc_rule == 'fraction' and bits == 4)", "fraction, pyramid"),
    ],
)
def test_a_width_that_another_rule_would_sample_is_told(when, rules) -> None:
    (message,) = told(when, bits={"type": "choice", "values": [2, 4, 8]})
    assert f"for fc_rule {rules} too" in message
