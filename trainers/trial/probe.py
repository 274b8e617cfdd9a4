"""What memory a trial takes: measured by a short one, in a process of its own.

Run: ``python -m trainers.trial.probe`` with a pickled pair of `DataConfig` and `TrialConfig` on
standard input; the last line that it prints is a `Peak` as JSON.
"""

import json
import pickle
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from trainers.config import TrialConfig
from trainers.data import DataConfig, ImageData, load_data
from trainers.data.splits import stratified_choice
from trainers.errors import TrainerError
from trainers.training.examples import FEATURE_BYTES
from trainers.trial.run import TrialRun

_STEPS = 2
# Evaluations take batches of at most so many.
_VALIDATED = 256
# `ru_maxrss` counts bytes on macOS and kibibytes elsewhere.
_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Peak:
    """The most memory that a process of a trial took.

    Attributes:
        host_bytes: Resident memory, with Python, torch and the images.
        device_bytes: What torch reserved on the GPU; 0 without one.
        device_total: Memory of that GPU; 0 without one.
        device: Its name; empty without one.
    """

    host_bytes: int
    device_bytes: int = 0
    device_total: int = 0
    device: str = ""


def probe(data: DataConfig, config: TrialConfig) -> Peak:
    """Train two steps, pack and measure in a process of its own; return what memory it took.

    Raises:
        TrainerError: The process failed; the text has its last line.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "trainers.trial.probe"],
        input=pickle.dumps((data, config)),
        capture_output=True,
        check=False,
    )
    lines = ended.stdout.decode(errors="replace").splitlines()
    if ended.returncode or not lines:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"it ended with {ended.returncode}"
        raise TrainerError(f"The trial that was to show how much memory one takes failed: {why}")
    return Peak(**json.loads(lines[-1]))


def measure_peak(data: ImageData, config: TrialConfig) -> Peak:
    """Train two steps, pack and measure in this process; return what memory it has taken so far.

    Features that a training of all images would keep are added.
    """
    few = _few(data, _STEPS * config.batch_size)
    with tempfile.TemporaryDirectory(prefix="paretune-probe-") as folder:
        run = TrialRun(replace(config, epochs=1), few, Path(folder))
        run.advance(to_epoch=1, seconds=0)
        kept = _kept_bytes(data, config, run.training.network.spec.n_features)
        run.measure()
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    if not torch.cuda.is_available():
        return Peak(host + kept)
    # Untested: no machine of ours has a GPU.
    facts = torch.cuda.get_device_properties(0)
    return Peak(
        host + kept, torch.cuda.max_memory_reserved(0) + kept, facts.total_memory, facts.name
    )


def _few(data: ImageData, count: int) -> ImageData:
    """Return as many training images as are given, each class among them, and few others."""
    train = stratified_choice(
        data.train_labels, min(max(count, len(data.classes)), len(data.train_labels)), 0
    )
    val = np.arange(min(_VALIDATED, len(data.val_labels)))
    return replace(
        data,
        train_images=data.train_images[train],
        train_labels=data.train_labels[train],
        val_images=data.val_images[val],
        val_labels=data.val_labels[val],
    )


def _kept_bytes(data: ImageData, config: TrialConfig, features: int) -> int:
    """Return the bytes of the features that a training of the head alone keeps."""
    if config.tune != "head" or not config.recipe.keeps_features or config.methods.needs_pixels:
        return 0
    views = config.recipe.kept_views(config.tune, config.epochs)
    images = views * len(data.train_labels) + len(data.val_labels)
    wanted = 4 * features * images
    return wanted if wanted <= FEATURE_BYTES else 0


if __name__ == "__main__":
    given: tuple[DataConfig, TrialConfig] = pickle.loads(sys.stdin.buffer.read())  # noqa: S301
    sys.stdout.write(json.dumps(asdict(measure_peak(load_data(given[0]), given[1]))))
