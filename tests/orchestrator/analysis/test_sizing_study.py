"""The sizing study: roles, what is found, and what is said of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orchestrator.analysis.comparison import Reference
from orchestrator.analysis.sizing_study import Role, sizing_study
from orchestrator.analysis.statistics.equivalence import PairedCounts, equivalent
from orchestrator.analysis.statistics.intervals import accuracy_interval, mean_interval
from orchestrator.analysis.statistics.paired import mcnemar, paired_t
from orchestrator.errors import UsageError
from orchestrator.reporting.study_text import difference_rows, headings_of, rows_of, verdict_of
from orchestrator.trials import REFERENCE_ATTRS, Artifact, Trial, TrialState
from trainers.files.predictions import Attacked, Predictions, write_predictions

N = 600
LABELS = np.arange(N) % 10
ATTACKED = np.arange(0, N, 2)

Make = Callable[..., Trial]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A complete trial that is wrong on the first images, with its answers on disk."""

    def build(
        number: int,
        *,
        wrong: int,
        head: float,
        params: dict[str, int] | None = None,
        seed: int = 0,
        robust: int = 200,
    ) -> Trial:
        folder = tmp_path / str(number)
        folder.mkdir()
        right = np.arange(N) >= wrong
        withstood = (np.arange(len(ATTACKED)) < robust) & right[ATTACKED]
        attacked = {"robust_accuracy_eps2": Attacked(ATTACKED, withstood)}
        predicted = np.where(right, LABELS, (LABELS + 1) % 10)
        write_predictions(folder / "predictions.npz", Predictions(LABELS, predicted, attacked))
        return Trial(
            "s",
            number,
            params or {},
            seed,
            TrialState.COMPLETE,
            values={
                "accuracy": float(right.mean()),
                "robust_accuracy_eps2": float(withstood.mean()),
                "memory_bytes": 4 * head + 1_000,
                "head_params": head,
                "params": head + 250,
            },
            artifact=Artifact(str(folder / "model.safetensors"), 1, "0" * 64),
            sampler_attrs={} if params else REFERENCE_ATTRS,
        )

    return build


@pytest.fixture
def reference(make: Make) -> Reference:
    return Reference((make(0, wrong=6, head=10_000),))


def test_the_smallest_that_saves_enough_and_is_not_worse_is_found(
    make: Make, reference: Reference
) -> None:
    half = make(1, wrong=6, head=5_000, params={"bits": 32})
    good = make(2, wrong=7, head=1_900, params={"bits": 4}, robust=150)
    bad = make(3, wrong=90, head=500, params={"bits": 2})
    study = sizing_study([reference.first, half, good, bad], reference, margin=0.03)
    assert study.found is not None
    assert study.found.trials == (good,)
    assert study.saved(study.found) == pytest.approx(0.81)
    roles = [(entry.number, entry.role) for entry in study.entries]
    assert roles == [
        (0, Role.REFERENCE),
        (3, Role.BOTH),
        (2, Role.BOTH),
        (1, Role.SIZED),
    ]
    assert study.found.accuracy == accuracy_interval(N - 7, N)
    clean, attack = study.differences
    assert clean.kept.name == "accuracy"
    theirs = np.arange(300) < 200
    ours = np.arange(300) < 150
    # The first few attacked images are wrong without an attack.
    theirs[:3] = False
    ours[:4] = False
    assert attack.p == pytest.approx(mcnemar(ours, theirs))
    assert attack.p_adjusted == pytest.approx(min(1, 2 * attack.p))
    counts = PairedCounts.of(ours, theirs)
    assert attack.kept.p_equivalent == equivalent(counts, 0.03)
    assert (attack.p_t, attack.p_wilcoxon) == (None, None)


def test_its_sentences_say_what_was_lost_too(make: Make, reference: Reference) -> None:
    good = make(2, wrong=7, head=1_900, params={"bits": 4}, robust=150)
    study = sizing_study([reference.first, good], reference, margin=0.03)
    text = verdict_of(study)
    assert "not measurably worse on validation" in text
    assert "81 % fewer parameters (1.90 k instead of 10.0 k)" in text
    assert "Robust accuracy eps2 fell from 65.7 % to 48.7 % (p < 0.001)." in text
    rows = list(rows_of(study))
    assert [len(row) for row in rows] == [len(headings_of(study))] * 2
    assert rows[0][1] == "reference"
    assert "head 81 % smaller" in rows[1][3]
    _, row = difference_rows(study)
    assert row[1:3] == ["65.7 %", "48.7 %"]


def test_robustness_that_rose_or_stayed_is_said_so(make: Make, reference: Reference) -> None:
    better = make(2, wrong=6, head=1_900, params={"bits": 4}, robust=250)
    same = make(3, wrong=6, head=1_900, params={"bits": 8}, robust=199)
    rose = verdict_of(sizing_study([better], reference, margin=0.03))
    assert "rose from 65.7 % to 82.3 %" in rose
    stayed = verdict_of(sizing_study([same], reference, margin=0.03))
    assert "Robust accuracy eps2 stayed within 3 points: from 65.7 % to 65.3 % (equiv" in stayed


def test_what_is_neither_a_difference_nor_shown_to_be_none_is_inconclusive(
    make: Make, reference: Reference
) -> None:
    less = make(2, wrong=7, head=1_900, params={"bits": 4}, robust=196)
    study = sizing_study([less], reference, margin=0.02)
    text = verdict_of(study)
    assert (
        "Robust accuracy eps2 went from 65.7 % to 64.0 %: inconclusive (difference p = 0.12, "
        "equivalence within 2 points p = 0.34)." in text
    )
    _, row = difference_rows(study)
    assert row[-1] == "inconclusive"


@pytest.mark.parametrize("wrong", range(6, 60, 3))
def test_the_table_and_the_sentences_never_contradict_each_other(
    make: Make, reference: Reference, wrong: int
) -> None:
    study = sizing_study(
        [make(2, wrong=wrong, head=1_900, params={"bits": 4})], reference, margin=0.03
    )
    told, judged = verdict_of(study), list(rows_of(study))[1][3]
    for phrase in ("not measurably worse", "worse, but by less", "inconclusive"):
        if judged.startswith(phrase):
            said = {"worse, but by less": "worse on validation, but by less"}.get(phrase, phrase)
            assert said in told.split("Its head")[0]
        elif phrase != "inconclusive":
            assert phrase not in told
    if judged.startswith("worse ("):
        assert "inconclusive" not in told.split("Nearest")[1].split(".")[0]


def test_nothing_found_is_said_with_what_came_nearest(make: Make, reference: Reference) -> None:
    half = make(1, wrong=6, head=5_000, params={"bits": 32})
    bad = make(3, wrong=90, head=500, params={"bits": 2})
    study = sizing_study([half, bad], reference, margin=0.03)
    assert study.found is None
    assert "50 % fewer parameters" in verdict_of(study)
    assert study.examined is not None
    assert study.examined.trials == (half,)
    assert len(study.differences) == 2
    assert "was found. No smaller trial" in verdict_of(sizing_study([bad], reference))
    assert "could be compared" in verdict_of(sizing_study([], reference))


def test_bits_that_the_sweep_fixes_count_too(make: Make, reference: Reference) -> None:
    sized = make(1, wrong=6, head=1_000, params={"fc_width_1": 8})
    for fixed, role in (({"bits": 32}, Role.SIZED), ({"fc_bits": 4}, Role.BOTH)):
        assert sizing_study([sized], reference, quantization=fixed).entries[1].role is role


def test_over_seeds_values_are_means_and_are_tested_as_pairs(make: Make) -> None:
    reference = Reference(
        tuple(make(n, wrong=6, head=10_000, seed=n, robust=200 + n) for n in range(3))
    )
    sized = [
        make(10 + n, wrong=6, head=1_000, params={"bits": 4}, seed=n, robust=190 - n)
        for n in range(3)
    ]
    study = sizing_study(sized, reference, margin=0.03)
    assert study.found is not None
    assert study.found.values["robust_accuracy_eps2"] == pytest.approx(186 / 300)
    clean, attack = study.differences
    assert clean.kept.name == "accuracy"
    ours = [trial.values["robust_accuracy_eps2"] for trial in sized]
    theirs = [trial.values["robust_accuracy_eps2"] for trial in reference.trials]
    assert attack.p_t == pytest.approx(paired_t(ours, theirs))
    assert attack.over_seeds == mean_interval(ours, theirs)
    # The clean accuracies are the same in all seeds.
    assert (clean.p_t, clean.over_seeds) == (None, None)


def test_answers_that_are_gone_are_no_traceback(make: Make, reference: Reference) -> None:
    good = make(2, wrong=7, head=1_900, params={"bits": 4})
    assert good.artifact is not None
    Path(good.artifact.path).with_name("predictions.npz").unlink()
    study = sizing_study([good], reference)
    assert study.found is None
    assert "for want of their answers" in verdict_of(study)


@pytest.mark.parametrize("saving", [0.0, 1.0, float("nan")])
def test_a_saving_that_is_no_share_is_refused(reference: Reference, saving: float) -> None:
    with pytest.raises(UsageError, match="head_saving"):
        sizing_study([], reference, head_saving=saving)
