"""Trials with answers on disk, against a reference; the sentences that come of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.analysis.comparison import Reference, smallest
from orchestrator.analysis.outcomes import NoAnswersError, outcomes_of
from orchestrator.analysis.statistics.equivalence import PairedCounts, not_worse, seeds_not_worse
from orchestrator.analysis.statistics.paired import mcnemar
from orchestrator.analysis.verdict import reason_of, refusal_of
from orchestrator.constraints import Constraint
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.fronts.front import compute_front
from orchestrator.fronts.member import FrontMember
from orchestrator.objectives import Direction, Objective
from orchestrator.trials import REFERENCE_ATTRS, Artifact, Trial, TrialState
from trainers.files.predictions import Attacked, Predictions, write_predictions

N = 1_000
LABELS = np.arange(N) % 10
ATTACKED = np.arange(0, N, 2)
GOALS = [Objective("accuracy", Direction.MAXIMIZE), Objective("memory_bytes", Direction.MINIMIZE)]

Make = Callable[..., Trial]


def right_but(*wrong: int) -> np.ndarray:
    """All images right except those."""
    right = np.full(N, fill_value=True)
    right[list(wrong)] = False
    return right


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A complete trial with answers beside its artifact."""

    def build(
        number: int, right: np.ndarray, size: float = 100e3, *, seed: int = 0, reference=False
    ) -> Trial:
        folder = tmp_path / f"{number}"
        folder.mkdir()
        robust = right[ATTACKED] & (ATTACKED % 4 == 0)
        attacked = {"robust_accuracy": Attacked(ATTACKED, robust)}
        predicted = np.where(right, LABELS, (LABELS + 1) % 10)
        write_predictions(folder / "predictions.npz", Predictions(LABELS, predicted, attacked))
        values = {
            "accuracy": float(right.mean()),
            "robust_accuracy": float(robust.mean()),
            "memory_bytes": size,
        }
        return Trial(
            "s",
            number,
            {} if reference else {"width": int(size)},
            seed,
            TrialState.COMPLETE,
            values=values,
            artifact=Artifact(str(folder / "model.safetensors"), int(size), "0" * 64),
            sampler_attrs=REFERENCE_ATTRS if reference else {},
        )

    return build


def select(trials, reference, *, by="memory_bytes", keep=("accuracy",), margin=0.02, alpha=0.05):
    return smallest(trials, reference, by=by, keep=keep, margin=margin, alpha=alpha)


@pytest.fixture
def reference(make: Make) -> Reference:
    return Reference((make(0, right_but(*range(10)), 300e3, reference=True),))


def test_the_smallest_trial_that_is_not_worse_is_chosen(make: Make, reference: Reference) -> None:
    good = make(1, right_but(*range(12)), 60e3)
    smaller = make(2, right_but(*range(3, 15)), 50e3)
    bad = make(3, right_but(*range(60)), 10e3)
    found = select([reference.first, good, smaller, bad], reference)
    assert found.chosen is not None
    assert found.chosen.trials == (smaller,)
    assert [each.trials[0].number for each in found.comparisons] == [3, 2, 1]
    counts = PairedCounts(N, gained=3, lost=5)
    (kept,) = found.chosen.kept
    assert kept.p_images == pytest.approx(not_worse(counts, 0.02))
    assert kept.p_mcnemar == mcnemar(right_but(*range(3, 15)), right_but(*range(10)))
    assert (kept.candidate, kept.reference, kept.images) == (0.988, 0.99, N)
    assert kept.p_seeds is None


def test_every_comparison_that_is_made_is_paid_for(make: Make, reference: Reference) -> None:
    near = make(1, right_but(*range(13)), 60e3)
    alone = select([near], reference, margin=0.013)
    assert alone.chosen is not None
    others = [make(2 + n, right_but(*range(100)), 50e3 + n) for n in range(40)]
    crowd = select([near, *others], reference, margin=0.013)
    mine = next(each for each in crowd.comparisons if each.trials == (near,))
    assert mine.p == alone.chosen.p
    assert mine.p_adjusted == pytest.approx(min(41 * alone.chosen.p, 1.0))
    assert crowd.chosen is None


def test_what_is_not_smaller_is_no_comparison(make: Make, reference: Reference) -> None:
    same_size = make(1, right_but(), 300e3)
    larger = make(2, right_but(), 400e3)
    found = select([same_size, larger, reference.first], reference)
    assert (found.comparisons, found.chosen) == ((), None)
    assert refusal_of(found) == (
        "No complete trial with a smaller memory than the reference (trial 0, 300 kB) could be "
        "compared with it."
    )


def test_all_that_was_trained_is_paid_for_whatever_is_left_of_it(
    make: Make, reference: Reference
) -> None:
    near = make(1, right_but(*range(13)), 60e3)
    bad = [make(2 + n, right_but(*range(100)), 50e3 + n) for n in range(10)]
    stopped = [
        replace(trial, state=TrialState.STOPPED, values={}, artifact=None)
        for trial in (make(20 + n, right_but(), 40e3 + n) for n in range(3))
    ]
    gone = replace(make(30, right_but(), 30e3), artifact=None)
    everything = [near, *bad, *stopped, gone]
    plain = select(everything, reference, margin=0.02)
    within = smallest(
        everything,
        reference,
        by="memory_bytes",
        keep=["accuracy"],
        margin=0.02,
        alpha=0.05,
        allowed={("s", 1)},
    )
    assert plain.family == within.family == 15
    assert [each.trials[0].number for each in within.eligible] == [1]
    (mine,) = within.eligible
    assert mine.p_adjusted == pytest.approx(min(15 * mine.p, 1.0))
    assert within.left_out == (30,)
    assert within.chosen is not None
    told = reason_of(within, within.chosen)
    assert "after Holm over 15 configurations trained, 11 of them compared" in told


@pytest.mark.slow
def test_a_condition_on_what_was_measured_makes_no_pick_easier(
    make: Make, reference: Reference
) -> None:
    trials = [make(1, right_but(*range(13)), 60e3)]
    trials += [make(2 + n, right_but(*range(100)), 50e3 + n) for n in range(40)]
    limits = [Constraint.parse("accuracy >= 0.95")]
    chosen = [trial for trial in trials if trial.values["accuracy"] >= 0.95]
    ask = {"keep": ["accuracy"], "reference": reference, "margin": 0.013}
    assert compute_front(chosen, GOALS).smallest(**ask).trial == 1
    for front in (
        compute_front(trials, GOALS),
        compute_front(trials, GOALS, limits),
        compute_front(chosen, GOALS, trained=trials),
    ):
        with pytest.raises(OrchestratorError, match="No smaller trial is shown"):
            front.smallest(**ask)


def test_nothing_within_the_constraints_is_said_so(make: Make, reference: Reference) -> None:
    found = smallest(
        [make(1, right_but(), 60e3)],
        reference,
        by="memory_bytes",
        keep=["accuracy"],
        margin=0.02,
        alpha=0.05,
        allowed=(),
    )
    assert refusal_of(found).startswith(
        "No complete trial within the constraints and conditions with a smaller memory than"
    )


def test_every_kept_value_has_to_hold(make: Make, reference: Reference) -> None:
    # The 20 that are lost are all attacked and robust ones: 2 % of all, 8 % of the robust.
    trial = make(1, right_but(*range(10), *range(12, 92, 4)), 60e3)
    assert select([trial], reference, margin=0.05).chosen is not None
    both = select([trial], reference, keep=["accuracy", "robust_accuracy"], margin=0.05)
    assert both.chosen is None
    (comparison,) = both.comparisons
    assert comparison.p == max(kept.p for kept in comparison.kept)
    assert [kept.images for kept in comparison.kept] == [N, 500]


def test_over_seeds_both_images_and_seeds_have_to_hold(make: Make) -> None:
    reference = Reference(
        tuple(make(n, right_but(*range(10)), 300e3, seed=n, reference=True) for n in range(3))
    )
    steady = [make(10 + n, right_but(*range(10 + n)), 60e3, seed=n) for n in range(3)]
    wild = [make(20 + n, right_but(*range(40 * n)), 50e3, seed=n) for n in range(3)]
    found = select([*steady, *wild], reference)
    assert found.chosen is not None
    assert found.chosen.trials == tuple(steady)
    (kept,) = found.chosen.kept
    assert kept.p_seeds == pytest.approx(
        seeds_not_worse([0.0, -0.001, -0.002], 0.02, resolution=1 / N)
    )
    assert kept.p == max(kept.p_images, kept.p_seeds)
    reason = reason_of(found, found.chosen)
    assert "a one-sided t-test over 3 seeds" in reason
    assert "one seed" not in reason.replace("one-sided", "")


def test_a_configuration_without_one_of_the_seeds_is_left_out_and_said_so(make: Make) -> None:
    reference = Reference(
        tuple(make(n, right_but(), 300e3, seed=n, reference=True) for n in range(2))
    )
    found = select([make(7, right_but(), 60e3, seed=0)], reference)
    assert (found.comparisons, found.left_out) == ((), (7,))
    assert "for want of their answers or of a seed of the reference: trials 7." in refusal_of(
        found
    )


def test_answers_that_are_gone_or_of_another_run_are_never_compared(
    make: Make, reference: Reference, tmp_path: Path
) -> None:
    gone, changed, fine = (make(n, right_but(), 60e3 + n) for n in (1, 2, 3))
    (tmp_path / "1" / "predictions.npz").unlink()
    changed = replace(changed, values={**changed.values, "accuracy": 0.999})
    no_artifact = replace(make(4, right_but(), 59e3), artifact=None)
    found = select([gone, changed, fine, no_artifact], reference)
    assert found.left_out == (1, 2, 4)
    assert found.chosen is not None
    assert found.chosen.trials == (fine,)
    for trial, told in [
        (gone, "are not at"),
        (changed, "give accuracy 1, but 0.999 was measured"),
        (no_artifact, "has no artifact"),
    ]:
        with pytest.raises(NoAnswersError, match=told):
            outcomes_of(trial, "accuracy")


def test_other_images_are_no_pairs(make: Make, reference: Reference, tmp_path: Path) -> None:
    other = make(1, right_but(), 60e3)
    write_predictions(
        tmp_path / "1" / "predictions.npz", Predictions(LABELS[::-1], LABELS[::-1], {})
    )
    assert select([other], reference).left_out == (1,)


def test_the_outcomes_are_those_of_the_value(make: Make) -> None:
    trial = make(1, right_but(*range(10)))
    for name in ("accuracy", "robust_accuracy"):
        assert outcomes_of(trial, name).right.mean() == trial.values[name]
    assert outcomes_of(trial, "robust_accuracy").images.tolist() == ATTACKED.tolist()


def test_the_reason_states_figures_margin_test_and_images(
    make: Make, reference: Reference
) -> None:
    trial = make(1, right_but(*range(12)), 60e3)
    tested = {"test_accuracy": 0.97}
    trial = replace(trial, values={**trial.values, **tested})
    first = replace(reference.first, values={**reference.values, "test_accuracy": 0.98})
    found = select([trial], Reference((first,)))
    assert found.chosen is not None
    assert reason_of(found, found.chosen) == (
        "Trial 1 (60.0 kB) is 80 % smaller than the reference (trial 0, 300 kB) and not "
        "measurably worse on validation: accuracy 98.8 % against 99.0 % (difference -0.2 points, "
        "95 % interval [-0.7, +0.2], 1000 images, McNemar p = 0.50). Non-inferior at a margin of "
        "2 points: p < 0.001 after Holm over 1 comparison (Tango's one-sided score test; one "
        "seed, so nothing is said of others). On test, which had no say in this: accuracy 97.0 % "
        "against 98.0 %."
    )


def test_a_loss_within_the_margin_that_is_beyond_chance_is_called_a_loss(
    make: Make, reference: Reference
) -> None:
    found = select([make(1, right_but(*range(40)), 60e3)], reference, margin=0.06)
    assert found.chosen is not None
    reason = reason_of(found, found.chosen)
    assert "and worse on validation, but by less than 6 points: accuracy 96.0 %" in reason
    assert "not measurably worse" not in reason
    assert "Non-inferior at a margin of 6 points: p" in reason


def test_a_refusal_names_the_nearest_and_what_is_out_of_reach(
    make: Make, reference: Reference
) -> None:
    trials = [make(1, right_but(*range(2, 14)), 60e3), make(2, right_but(*range(200)), 50e3)]
    text = refusal_of(select(trials, reference, margin=0.001))
    assert "Nearest came trial 1 (60.0 kB)" in text
    assert "at a margin of 0.1 points and alpha 0.05 after Holm over 2 comparisons" in text
    assert "This is inconclusive: that it is worse is not shown either." in text
    assert "With 1000 images not even a copy of the reference would pass (p = 0.32)" in text
    clearly = refusal_of(select(trials[1:], reference))
    assert "not shown either" not in clearly
    assert "not even a copy" not in clearly


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"margin": 2}, r"margin is 2;.*0\.02 is two points"),
        ({"margin": float("nan")}, "margin is nan"),
        ({"alpha": 0}, "alpha is 0"),
        ({"keep": []}, "Say what is to be kept"),
        ({"by": "memory"}, "no value 'memory', only accuracy, memory_bytes"),
    ],
)
def test_wrong_use_is_answered_in_a_sentence(reference: Reference, changes, told) -> None:
    with pytest.raises(UsageError, match=told):
        select([], reference, **changes)


def test_only_what_is_measured_image_by_image_can_be_kept(reference: Reference) -> None:
    with pytest.raises(UnknownNameError, match="Known: accuracy, robust_accuracy"):
        select([], reference, keep=["macs"])


def test_a_reference_is_complete(make: Make) -> None:
    with pytest.raises(OrchestratorError, match="none was given"):
        Reference(())
    failed = replace(make(4, right_but()), state=TrialState.FAILED)
    with pytest.raises(OrchestratorError, match="trial 4 is failed"):
        Reference((failed,))


def test_a_front_picks_from_all_that_meet_the_constraints(
    make: Make, reference: Reference
) -> None:
    trials = [
        reference.first,
        make(1, right_but(*range(11)), 60e3),
        make(2, right_but(*range(12)), 61e3),  # beaten by the one before
        make(3, right_but(*range(13)), 59e3),
        make(4, right_but(*range(14)), 10e3),  # too small to be allowed
    ]
    limits = [Constraint.parse("memory_bytes >= 50kB")]
    found = compute_front(trials, GOALS, limits).smallest(keep=["accuracy"], reference=reference)
    assert found.trial == 3
    assert found.reason.startswith("Trial 3 (59.0 kB) is 80 % smaller")
    assert [each.allowed for each in found.selection.comparisons] == [False, True, True, True]
    # The one that the constraint leaves out was trained like the others.
    assert found.selection.family == 4
    assert found.as_json() == FrontMember.of(trials[3]).as_json()
    with pytest.raises(OrchestratorError, match="No smaller trial is shown"):
        compute_front(trials, GOALS).smallest(keep="accuracy", reference=reference, margin=0.0001)


def test_a_lead_of_one_image_is_no_certain_place_on_the_front(make: Make) -> None:
    trials = [
        make(1, right_but(*range(100)), 60e3),
        make(2, right_but(*range(200, 301)), 60e3 - 1),
        make(3, right_but(*range(102)), 60e3 - 1),  # two images behind the first
        make(4, right_but(*range(500)), 70e3),
    ]
    front = compute_front(trials, GOALS)
    assert [member.trial for member in front] == [1, 2]
    found = front.probabilities(draws=500)
    assert found.keys() == {("s", n) for n in (1, 2, 3, 4)}
    # The first is on it only where it is more accurate than both that are smaller by a byte.
    assert 0.4 < found["s", 1] < 0.75
    assert 0.3 < found["s", 3] < 0.6
    assert found["s", 4] == 0.0
    assert found == front.probabilities(draws=500)
    assert compute_front([], GOALS).probabilities() == {}


def test_trials_of_other_images_are_not_resampled_together(make: Make, tmp_path: Path) -> None:
    trials = [make(1, right_but(), 60e3), make(2, right_but(), 50e3)]
    swapped = Predictions(LABELS[::-1], LABELS[::-1], {})
    write_predictions(tmp_path / "2" / "predictions.npz", swapped)
    with pytest.raises(OrchestratorError, match="Trials 1 and 2 answered other images"):
        compute_front(trials, GOALS).probabilities(draws=3)
