import pytest

from orchestrator.scheduling.milestones import even_milestones, halving_milestones


@pytest.mark.parametrize(
    ("min_epochs", "reduction", "epochs", "expected"),
    [
        (1, 3, 27, (1, 3, 9)),
        (1, 3, 28, (1, 3, 9, 27)),
        (2, 2, 10, (2, 4, 8)),
        (5, 3, 5, ()),
        (5, 3, 6, (5,)),
        (1, 2, 1, ()),
    ],
)
def test_milestones_grow_by_the_reduction_and_lie_before_the_end(
    min_epochs, reduction, epochs, expected
) -> None:
    assert halving_milestones(min_epochs, reduction, epochs) == expected


def test_even_milestones_lie_before_the_end() -> None:
    assert even_milestones(2, 7) == (2, 4, 6)
    assert even_milestones(3, 6) == (3,)
    assert even_milestones(3, 3) == ()
