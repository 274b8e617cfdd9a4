"""How often a sweep's comparisons were looked at, and what is said of it."""

from pathlib import Path

from orchestrator.analysis.claim import Claim, Look, told_of
from orchestrator.queries.looks import count_look
from orchestrator.spec.claim_section import ClaimSection
from orchestrator.state_folder import StateFolder

FIXED = ClaimSection(margin=0.03, family="bits <= 4")


def test_a_repeated_look_is_one_and_another_is_counted(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    claim = Claim.asked(FIXED)
    first = claim.look("memory_bytes", 45)
    assert count_look("a", first, state) == [first]
    assert count_look("a", first, state) == [first]
    other = Claim.asked(FIXED, margin=0.05).look("memory_bytes", 45)
    earlier = claim.look("memory_bytes", 12)
    count_look("a", other, state)
    assert count_look("a", earlier, state) == [first, other, earlier]
    assert count_look("b", first, state) == [first]


def test_a_line_that_a_crash_cut_off_costs_no_look(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    look = Claim.asked(None).look("memory_bytes", 4)
    count_look("a", look, state)
    path = state.sweep_folder("a") / "looks.jsonl"
    path.write_text(path.read_text() + '{"keep": ["accur\n')
    assert count_look("a", look, state) == [look]


def test_where_nothing_can_be_written_they_are_not_counted(tmp_path: Path) -> None:
    (tmp_path / "sweeps").write_text("a file where a folder should be")
    assert count_look("a", Claim.asked(None).look("params", 1), StateFolder(tmp_path)) is None


def test_it_is_said_whether_the_claim_was_fixed_beforehand() -> None:
    fixed = Claim.asked(FIXED)
    looks = [fixed.look("memory_bytes", 45)]
    assert told_of(fixed, looks) == (
        "The claim was fixed in the sweep file before the first trial: accuracy not worse by 3 "
        "points, alpha 0.05, over bits <= 4. This is the first look at its comparisons."
    )
    open_one = told_of(Claim.asked(None, margin=0.03), looks)
    assert open_one.startswith("The sweep file fixed no claim")
    assert "exploratory" in open_one
    other = Claim.asked(FIXED, margin=0.05, keep="robust_accuracy", alpha=0.1)
    told = told_of(other, [*looks, other.look("memory_bytes", 45), fixed.look("params", 12)])
    for part in (
        "another claim before the first trial: this one keeps robust_accuracy and not accuracy",
        "has a margin of 5 and not 3 points",
        "an alpha of 0.1 and not 0.05",
        "looked at 3 times, at 3 claims and after 2 numbers of trials",
    ):
        assert part in told
    assert "could not be counted" in told_of(fixed, None)
    assert isinstance(looks[0], Look)
