"""Analyses that were interrupted in the middle go on, and find what a whole one finds."""

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.analysis.heads_analysis import analyze_capacity, analyze_similarity
from orchestrator.analysis.sensitivity_analysis import analyze_sensitivity
from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.quantization import sensitivity
from trainers.stages.cache import StageCache
from trainers.training.finetune import FineTuning

CONFIG = TrialConfig(backbone="digitnet", weights="bundled", epochs=2, batch_size=16)


@pytest.fixture(scope="module")
def data() -> ImageData:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, 1, 8, 8), dtype=np.uint8)
    labels = np.arange(64) % 2

    parts = (slice(0, 32), slice(32, 48), slice(48, 64))
    each = [array[part] for part in parts for array in (images, labels)]
    return ImageData("noise", ("a", "b"), *each)


def capacity(data: ImageData, **how: Any) -> Any:
    return analyze_capacity(data, CONFIG, (2, 4), seeds=2, random_labels=True, **how)


def similarity(data: ImageData, **how: Any) -> Any:
    return analyze_similarity(data, CONFIG, (2, 4), seeds=2, **how)


def layers(data: ImageData, **how: Any) -> Any:
    return analyze_sensitivity("digitnet", data, weights="bundled", epochs=1, images=2, **how)


WORK = {
    capacity: (FineTuning, "run_epoch"),
    similarity: (FineTuning, "run_epoch"),
    layers: (sensitivity._Measure, "_change"),
}


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Callable[[], int]]:
    """Count how often the work of an analysis is done."""

    def counting(analysis: Any) -> Callable[[], int]:
        owner, name = WORK[analysis]
        real, done = getattr(owner, name), []
        monkeypatch.setattr(owner, name, lambda *given: (done.append(1), real(*given))[1])
        return lambda: len(done)

    return counting


def stopped_after(reports: int) -> Callable[..., None]:
    def told() -> Iterator[None]:
        for _ in range(reports):
            yield
        raise KeyboardInterrupt

    each = told()
    return lambda *_: next(each)


@pytest.mark.slow
@pytest.mark.parametrize("analysis", list(WORK), ids=lambda each: each.__name__)
def test_an_interrupted_analysis_does_only_what_is_left(
    analysis: Any, data: ImageData, tmp_path: Path, count: Any
) -> None:
    done = count(analysis)
    whole = analysis(data)
    all_work = done()
    cache = StageCache(str(tmp_path), 1e9)
    with pytest.raises(KeyboardInterrupt):
        analysis(data, cache=cache, progress=stopped_after(2))
    first = done() - all_work
    found = analysis(data, cache=cache)
    second = done() - all_work - first
    assert 0 < first < all_work
    assert first + second == all_work
    assert found == whole
    # And a third time nothing is left to do.
    assert analysis(data, cache=cache) == whole
    assert done() == 2 * all_work


# So few images are told apart equally well by all seeds of an arm.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")
def test_the_depth_study_goes_on_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(__file__).parents[3] / "examples" / "studies" / "depth.py"
    study = runpy.run_path(str(path))
    words = "digits --limit 60 --epochs 1 --seeds 2 --backbone cifar_resnet20 --image-size 8"
    monkeypatch.setattr("sys.argv", [str(path), *words.split(), "--cache", str(tmp_path)])
    real, trained = FineTuning.run_epoch, []

    def run_epoch(training: FineTuning) -> object:
        if len(trained) == 3:
            trained.append("interrupted")
            raise KeyboardInterrupt
        trained.append(training.config.architecture)
        return real(training)

    monkeypatch.setattr(FineTuning, "run_epoch", run_epoch)
    with pytest.raises(KeyboardInterrupt):
        study["main"]()
    assert capsys.readouterr().out == ""
    study["main"]()
    # Three arms of two seeds: none of the first three trainings is made again.
    assert len(trained) == 1 + 6
    assert len(set(trained)) == 1 + 3
    printed = capsys.readouterr().out
    assert str(tmp_path) not in printed
    trained.clear()
    study["main"]()
    assert not trained
    # Times that were measured are kept too.
    assert capsys.readouterr().out == printed
