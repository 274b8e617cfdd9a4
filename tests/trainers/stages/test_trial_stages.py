"""Trials over a stage cache measure, bit for bit, what they measure without one."""

import errno
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.evaluators.config import AttackConfig
from trainers.files.trial_folder import ARTIFACT_NAME, CHECKPOINT_NAME
from trainers.stages.cache import StageCache
from trainers.stages.trial_stages import TrialStages
from trainers.training.finetune import EpochReport, FineTuning
from trainers.trial.run import TrialRun

Config = Callable[..., TrialConfig]
Answer = tuple[dict[str, float], list[EpochReport], bytes]
TIMES = {"train_s", "eval_s", "cached_stages"}
ATTACKS = {"robust_accuracy": AttackConfig("fgsm", 0.05, samples=15)}


@pytest.fixture
def cache(tmp_path: Path) -> StageCache:
    return StageCache(str(tmp_path / "cache"), 1e9)


def answer(config: TrialConfig, data: ImageData, folder: Path, cache: Any = None) -> Answer:
    """Values, epochs, and the network's file."""
    trial = TrialRun(config, data, folder, cache=cache)
    trial.checkpoint_every_s = 1e9  # on a busy machine an epoch takes long enough for one
    reports = trial.advance(to_epoch=2**31, seconds=1e9)
    return dict(trial.measure().values), reports, (folder / ARTIFACT_NAME).read_bytes()


def facts(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name not in TIMES}


def assert_same(first: Answer, second: Answer) -> None:
    assert facts(first[0]) == facts(second[0])
    assert [(r.epoch, r.train_loss, r.float_accuracy) for r in first[1]] == [
        (r.epoch, r.train_loss, r.float_accuracy) for r in second[1]
    ]
    assert first[2] == second[2]


@pytest.mark.slow
@pytest.mark.parametrize("qat", ["none", "absmax", "lsq"])
@pytest.mark.parametrize("tune", ["head", "last_blocks:1", "all"])
def test_cold_warm_and_off_are_the_same_to_the_last_bit(
    bands: ImageData, make_config: Config, tmp_path: Path, cache: StageCache, tune: str, qat: str
) -> None:
    config = make_config(
        tune=tune, qat=qat, bits=4, fc_bits=3, dropout=0.2, epochs=2, attacks=ATTACKS
    )
    off = answer(config, bands, tmp_path / "off")
    cold = answer(config, bands, tmp_path / "cold", cache)
    warm = answer(config, bands, tmp_path / "warm", cache)
    assert_same(off, cold)
    assert_same(off, warm)
    # The training; and where it changes the head alone, what the packed backbone sees.
    shared = 2 if tune == "head" else 1
    assert [each[0]["cached_stages"] for each in (off, cold, warm)] == [0, 0, shared]
    assert [report.seconds for report in warm[1]] == [0, 0]
    assert cache.troubles == []
    assert not (tmp_path / "cold" / CHECKPOINT_NAME).exists()


@pytest.mark.slow
def test_a_sibling_measures_what_it_would_have_measured_alone(
    bands: ImageData, make_config: Config, tmp_path: Path, cache: StageCache
) -> None:
    config = make_config(tune="last_blocks:1", bits=8, attacks=ATTACKS)
    answer(config, bands, tmp_path / "origin", cache)
    other = make_config(
        tune="last_blocks:1",
        bits=3,
        quantizer="kmeans",
        attacks={"other": ATTACKS["robust_accuracy"]},
    )
    shared = answer(other, bands, tmp_path / "shared", cache)
    assert shared[0]["cached_stages"] == 1
    assert_same(shared, answer(other, bands, tmp_path / "alone"))


def test_another_head_takes_the_features_before_and_after_packing(
    bands: ImageData, make_config: Config, tmp_path: Path, cache: StageCache
) -> None:
    answer(make_config(widths=(8,)), bands, tmp_path / "first", cache)
    config = make_config(widths=(5,))
    second = answer(config, bands, tmp_path / "second", cache)
    assert second[0]["cached_stages"] == 2
    assert all(report.seconds > 0 for report in second[1])
    assert_same(second, answer(config, bands, tmp_path / "alone"))


@pytest.mark.slow
def test_other_bits_have_features_of_their_own(
    bands: ImageData, make_config: Config, tmp_path: Path, cache: StageCache
) -> None:
    folder = tmp_path / "cache"
    taken = []
    for number, (width, bits) in enumerate([(8, 3), (8, 4), (5, 3), (5, 4)]):
        config = make_config(widths=(width,), bits=bits, attacks=ATTACKS)
        cached = answer(config, bands, tmp_path / f"{number}", cache)
        assert_same(cached, answer(config, bands, tmp_path / f"{number} alone"))
        taken.append(cached[0]["cached_stages"])
    # Nothing; the training; the features of a trial; the training and those of the packed one.
    assert taken == [0, 1, 2, 2]
    assert len(list(folder.glob("packed-*"))) == 2


def test_workers_that_need_the_same_features_share_the_work(
    bands: ImageData, make_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.stages.trial_stages._BLOCK", 2)
    config, made = make_config(), []
    network = FineTuning(config, bands, device=torch.device("cpu")).network
    counts = {"train": 20, "val": 9}
    begin = threading.Barrier(2)

    def worker(number: int) -> dict[str, torch.Tensor]:
        def make(subset: str, images: slice) -> torch.Tensor:
            time.sleep(0.02)
            made.append((number, subset, images.start))
            values = torch.arange(counts[subset])[images, None]
            return values if subset == "train" else -values

        cache = StageCache(str(tmp_path / "cache"), 1e9)
        given = {"weights": "w", "data": "d", "device": torch.device("cpu")}
        stages = TrialStages(cache, config, network.spec, **given)
        begin.wait()
        return stages.features(make, counts)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(worker, range(2)))
    for found in results:
        assert found["train"].flatten().tolist() == list(range(20))
        assert found["val"].flatten().tolist() == [-each for each in range(9)]
    # Each block once, and not all by one of them.
    assert len({each[1:] for each in made}) == len(made) == 10 + 5
    assert {number for number, *_ in made} == {0, 1}


def test_a_backbone_that_was_tuned_is_no_other_trials(
    bands: ImageData, make_config: Config, tmp_path: Path, cache: StageCache
) -> None:
    answer(make_config(tune="last_blocks:1"), bands, tmp_path / "trial", cache)
    assert not list((tmp_path / "cache").glob("packed-*"))


def test_features_too_large_to_be_kept_are_computed_again(
    bands: ImageData,
    make_config: Config,
    tmp_path: Path,
    cache: StageCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainers.trial.run.FEATURE_BYTES", 1)
    answer(make_config(), bands, tmp_path / "trial", cache)
    assert not list((tmp_path / "cache").glob("packed-*"))


def test_other_images_take_nothing(
    bands: ImageData, make_config: Config, tmp_path: Path, cache: StageCache
) -> None:
    answer(make_config(), bands, tmp_path / "first", cache)
    others = replace(bands, train_images=255 - bands.train_images)
    assert answer(make_config(), others, tmp_path / "second", cache)[0]["cached_stages"] == 0


def test_a_training_survives_its_trial_in_the_cache(
    bands: ImageData, make_config: Config, tmp_path: Path, cache: StageCache
) -> None:
    first = TrialRun(make_config(), bands, tmp_path / "trial", cache=cache)
    first.advance(to_epoch=2**31, seconds=60)
    first.measure()
    again = TrialRun(make_config(), bands, tmp_path / "trial", cache=cache)
    assert again.finished
    assert [report.epoch for report in again.advance(to_epoch=2**31, seconds=60)] == [1, 2, 3]


def test_a_cache_may_keep_its_trainings_to_itself(
    bands: ImageData, make_config: Config, tmp_path: Path, cache: StageCache
) -> None:
    config = make_config(tune="head")
    first = answer(config, bands, tmp_path / "first", cache)
    strict = StageCache(str(tmp_path / "cache"), 1e9, gives_trainings=False)
    trial = TrialRun(config, bands, tmp_path / "second", cache=strict)
    # It has every epoch before it, and the features.
    assert trial.epoch == 0
    assert trial.training.cached_stages == 1
    assert_same(first, answer(config, bands, tmp_path / "third", strict))
    device = torch.device("cpu")
    assert FineTuning(config, bands, device=device, cache=strict.giving_trainings()).finished


def test_a_checkpoint_is_taken_up_where_the_cache_has_nothing(
    bands: ImageData, make_config: Config, tmp_path: Path, cache: StageCache
) -> None:
    first = TrialRun(make_config(), bands, tmp_path / "trial", cache=cache)
    first.advance(to_epoch=2, seconds=60)
    first.checkpoint()
    assert TrialRun(make_config(), bands, tmp_path / "trial", cache=cache).epoch == 2


def test_on_a_full_disk_the_training_is_kept_where_it_was_before(
    bands: ImageData,
    make_config: Config,
    tmp_path: Path,
    cache: StageCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fsync = os.fsync

    def full_cache(descriptor: int) -> None:
        if "cache" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr("trainers.files.checkpoints.os.fsync", full_cache)
    cold = answer(make_config(), bands, tmp_path / "trial", cache)
    assert (tmp_path / "trial" / CHECKPOINT_NAME).exists()
    assert "No space left on device" in " ".join(cache.troubles)
    assert_same(cold, answer(make_config(), bands, tmp_path / "off"))


def test_a_damaged_training_is_trained_again(
    bands: ImageData, make_config: Config, tmp_path: Path, cache: StageCache
) -> None:
    cold = answer(make_config(), bands, tmp_path / "cold", cache)
    for path in (tmp_path / "cache").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    warm = answer(make_config(), bands, tmp_path / "warm", cache)
    assert_same(cold, warm)
    assert warm[0]["cached_stages"] == 0
    # The training, the features of both subsets, and those of the packed backbone.
    assert len(cache.troubles) == 4
    assert answer(make_config(), bands, tmp_path / "third", cache)[0]["cached_stages"] == 2
