"""Values of logits: scikit-learn's, and what follows by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, top_k_accuracy_score

from trainers.evaluators.class_metrics import class_metrics


@given(st.integers(0, 2**32), st.integers(2, 9), st.integers(1, 60))
@pytest.mark.slow
def test_they_are_those_of_scikit_learn(seed: int, classes: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (count, classes)).astype(np.float32)
    labels = rng.integers(0, classes, count)
    found = class_metrics(logits, labels)
    predicted, present = logits.argmax(1), np.unique(labels)
    f1 = f1_score(labels, predicted, labels=present, average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(f1)
    if set(predicted) <= set(present) and len(present) > 1:  # it warns of other cases
        assert found["balanced_accuracy"] == pytest.approx(
            balanced_accuracy_score(labels, predicted)
        )
    shares = np.exp(logits.astype(float))
    shares /= shares.sum(1, keepdims=True)
    assert found["nll"] == pytest.approx(log_loss(labels, shares, labels=np.arange(classes)))
    if classes > 5:
        top = top_k_accuracy_score(labels, logits, k=5, labels=np.arange(classes))
        assert found["top5_accuracy"] == pytest.approx(top)
    else:
        assert "top5_accuracy" not in found


def test_a_network_that_is_as_sure_as_it_is_right_is_calibrated() -> None:
    """Confidence 0.75, and three of four right; then all right, a quarter too modest."""
    logits = np.array([[math.log(3), 0.0]] * 4, np.float32)
    assert class_metrics(logits, np.array([0, 0, 0, 1]))["ece"] == pytest.approx(0, abs=1e-6)
    assert class_metrics(logits, np.array([0, 0, 0, 0]))["ece"] == pytest.approx(0.25, abs=1e-6)


def test_errors_of_other_bins_do_not_cancel() -> None:
    """Sure and wrong in half of the cases, unsure and right in the others."""
    sure, unsure = [math.log(9), 0.0], [math.log(1.5), 0.0]
    logits = np.array([sure, sure, unsure, unsure], np.float32)
    found = class_metrics(logits, np.array([1, 1, 0, 0]))["ece"]
    assert found == pytest.approx(0.5 * 0.9 + 0.5 * 0.4, abs=1e-6)


def test_what_is_not_finite_is_left_out() -> None:
    logits = np.array([[np.inf, 0.0]], np.float32)
    assert set(class_metrics(logits, np.array([0]))) == {"balanced_accuracy", "macro_f1"}
