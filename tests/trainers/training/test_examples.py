"""Batches: every image once, and no step that sees a single one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.config import TrialConfig
from trainers.data import ImageData
from trainers.files.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from trainers.training.examples import batch_sizes, pixels
from trainers.training.finetune import FineTuning
from trainers.training.fused import fuse_key, run_epoch

CPU = torch.device("cpu")
# The 70 images of `bands` are three batches of 23, and one image.
LONE = 23


@given(st.integers(1, 500), st.integers(1, 600))
def test_no_batch_is_a_single_image_unless_all_are(count: int, size: int) -> None:
    sizes = batch_sizes(count, size)
    assert sum(sizes) == count
    assert size == 1 or count == 1 or min(sizes) > 1
    # Everything but the end is as it is asked for, and the end too where it is no single image.
    assert set(sizes[:-1]) <= {size}
    assert sizes[-1] == size + 1 if count % size == 1 and count > size > 1 else sizes[-1] <= size


@given(st.integers(1, 60), st.integers(1, 70))
def test_batches_of_training_hold_every_image_once_and_in_order(count: int, size: int) -> None:
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    examples = pixels(images, np.arange(count), CPU)
    order = np.random.default_rng(count).permutation(count)
    batches = list(examples.training_batches(size, order))
    assert [len(labels) for _, labels in batches] == batch_sizes(count, size)
    assert torch.cat([labels for _, labels in batches]).tolist() == order.tolist()
    seen = torch.cat([inputs for inputs, _ in batches]).flatten() * 255
    assert seen.round().int().tolist() == order.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v3_small"])
@pytest.mark.parametrize("tune", ["all", "last_blocks:1"])
def test_a_last_image_alone_is_trained_on_where_maps_are_one_pixel(
    bands: ImageData,
    make_config: Callable[..., TrialConfig],
    tmp_path: Path,
    backbone: str,
    tune: str,
) -> None:
    config = make_config(
        backbone=backbone, image_size=32, tune=tune, batch_size=LONE, epochs=2, widths=()
    )
    whole = FineTuning(config, bands, device=CPU)
    whole.run_epoch()
    whole.save(tmp_path / "c")
    resumed = FineTuning(config, bands, device=CPU)
    resumed.load(tmp_path / "c")
    for training in (whole, resumed):
        training.run_epoch()
    assert [report.train_loss for report in whole.reports] == [
        report.train_loss for report in resumed.reports
    ]
    tensors, facts = load_checkpoint(tmp_path / "c")
    save_checkpoint(
        tmp_path / "old", tensors, {key: facts[key] for key in facts if key != "last_image"}
    )
    with pytest.raises(CheckpointError, match="another config"):
        FineTuning(config, bands, device=CPU).load(tmp_path / "old")
    state = resumed.network.state_dict()
    assert all(
        torch.equal(state[name], tensor) for name, tensor in whole.network.state_dict().items()
    )


def test_heads_see_the_same_batches_with_autograd_and_without(
    bands: ImageData, make_config: Callable[..., TrialConfig]
) -> None:
    config = make_config(batch_size=LONE, epochs=1)
    alone, fused = (FineTuning(config, bands, device=CPU) for _ in range(2))
    assert fuse_key(fused) is not None
    alone.run_epoch()
    run_epoch([fused])
    for mine, other in zip(alone.network.parameters(), fused.network.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
    assert fused.reports[0].train_loss == pytest.approx(alone.reports[0].train_loss, rel=1e-4)
