"""Data that are larger than the memory: what two workers take of it, and how fast they train.

A set of 60,000 images of 160 by 160 pixels (4.6 GB), Imagenette's pictures again and again with
noise, is decoded once into the file of `trainers.data.image_store`. Then two workers at once train
a small network for an epoch of all images and validate it, by `FineTuning`: printed is the largest
resident memory of the two together, the file's own pages among it.

Then two workers at once train and validate it on some of the images, drawn anew from all for each
pair: ours by `FineTuning`, theirs by a plain loop of torch over a `numpy.memmap` of the same file,
with the same images, network, batches and optimizer. Both sides take turns within one process, a
few seconds each, so that what else the machine does meets both alike. Printed is the median over
all pairs of the ratio of the throughputs, with the quartiles, by the clock and by the processors'
time, which other processes disturb less; and a 95 % interval of the median, by the bootstrap.

Run: ``python benchmarks/bench_memmap.py --pictures FOLDER``; ten minutes and 5 GB of disk.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from options import parsed

SIDE, BATCH, CLASSES = 160, 128, 10
MODEL = '''
"""Few operations, so that what feeds them shows."""
from torch import nn

def build():
    first = nn.Sequential(nn.Conv2d(3, 16, 5, 4, 2), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
    return nn.Sequential(first, second, nn.Flatten())
'''
DATA = '''
"""Pictures of a folder, again and again, each time with other noise."""
import os
from pathlib import Path
import numpy as np
from trainers.data.folder import read_folder

class Repeated:
    def __init__(self):
        folder = Path(os.environ["BENCH_PICTURES"])
        self.pictures = read_folder(str(folder), {side})
        self.count = int(os.environ["BENCH_IMAGES"])
    def __len__(self):
        return self.count
    def __getitem__(self, index):
        which = index % len(self.pictures.labels)
        image = self.pictures.images[which]
        noise = np.random.default_rng(index).integers(-8, 9, image.shape, dtype=np.int16)
        return np.clip(image + noise, 0, 255).astype(np.uint8), int(self.pictures.labels[which])
'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", default=None, help="folder; default: pictures of noise")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--pairs", type=int, default=12, help="of each of the two workers")
    parser.add_argument("--block", type=int, default=3000, help="training images of a turn")
    parser.add_argument("--folder", default=None, help="of the store; default: a temporary one")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parsed(parser, images=2000, pairs=2, block=300)
    if options.worker:
        print(json.dumps(worked(**json.loads(options.worker))))
        return
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="bench-memmap-") as folder:
        _compare(Path(folder), options)


def _compare(folder: Path, options: argparse.Namespace) -> None:
    (folder / "my_model.py").write_text(MODEL)
    (folder / "my_data.py").write_text(DATA.replace("{side}", str(SIDE)))
    given = {"folder": str(folder), "images": options.images, "pictures": options.pictures}
    (made,) = _at_once([{**given, "side": "decode"}])
    print(
        f"{options.images:,} images of {SIDE} by {SIDE}, {made['bytes'] / 1e9:.2f} GB, decoded in "
        f"{made['seconds']:.0f} s by a process of {made['resident'] / 2**30:.2f} GiB; found and "
        f"checked again in {made['again']:.0f} s",
        flush=True,
    )
    epochs = _at_once([{**given, "side": "epoch"}] * 2)
    print(
        f"an epoch of all by two workers: {sum(each['rate'] for each in epochs):,.0f} images/s, "
        f"{sum(each['resident'] for each in epochs) / 2**30:.2f} GiB resident (wanted: 2)",
        flush=True,
    )
    turns = {"side": "pairs", "pairs": options.pairs, "block": options.block}
    workers = _at_once([{**given, **turns, "first": first} for first in (0, 1)])
    for key, name in (("clock", "clock"), ("cpu", "processors' time")):
        ratios = [ratio for each in workers for ratio in each[key]]
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        drawn = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
        ends = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
        print(
            f"ours to theirs by the {name}: {middle:.3f} in the median of {len(ratios)} pairs "
            f"({ends[0]:.3f} to {ends[1]:.3f}), quartiles {low:.3f} and {high:.3f}"
        )
    load = os.getloadavg()[0]
    print(f"load of the machine in the last minute: {load:.1f} on {os.cpu_count()} processors")


def _at_once(work: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run workers in processes of their own, and return what they printed."""
    command = [sys.executable, __file__, "--worker"]
    running = [
        subprocess.Popen([*command, json.dumps(each)], stdout=subprocess.PIPE, text=True)
        for each in work
    ]
    answers = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("a worker failed; its error is above.")
    return [json.loads(answer.splitlines()[-1]) for answer in answers]


def worked(
    *, folder: str, images: int, pictures: str | None, side: str, **turns: int
) -> dict[str, Any]:
    """Do the work of one process."""
    import torch

    from trainers.data import DataConfig, load_data

    os.environ["BENCH_IMAGES"] = str(images)
    os.environ["BENCH_PICTURES"] = pictures or _noise(Path(folder))
    torch.set_num_threads(1)
    config = DataConfig(
        dataset=f"{folder}/my_data.py:Repeated",
        images_folder=f"{folder}/store",
        in_memory=0,
        val_fraction=0.02,
        test_fraction=0.02,
    )
    if side == "decode":
        began = time.perf_counter()
        data = load_data(config)
        seconds = time.perf_counter() - began
        load_data(config)
        again = time.perf_counter() - began - seconds
        # Workers get what a worker of a sweep gets: the place of the images.
        import pickle

        data.content()
        Path(folder, "data.pickle").write_bytes(pickle.dumps(data))
        taken = sum(data.subset(name)[0].nbytes for name in ("train", "val", "test"))
        return {"bytes": taken, "seconds": seconds, "again": again, "resident": _resident()}
    import pickle

    data = pickle.loads(Path(folder, "data.pickle").read_bytes())  # noqa: S301 - written above
    if side == "pairs":
        return _in_turns(Path(folder), data, **turns)
    wall, _ = _timed(Path(folder), data, "ours")
    count = len(data.train_labels) + len(data.val_labels)
    return {"rate": count / wall, "resident": _resident()}


def _in_turns(folder: Path, data: Any, *, pairs: int, block: int, first: int) -> dict[str, Any]:
    """Let both sides train the same images in turn; the ratios of their throughputs."""
    rng = np.random.default_rng(first)
    ratios: dict[str, list[float]] = {"clock": [], "cpu": []}
    # What is imported and allocated once is no throughput: torch's optimizers take seconds.
    for side in ("ours", "theirs"):
        _timed(folder, _some(data, rng, BATCH), side)
    for number in range(pairs):
        some = _some(data, rng, block)
        sides = ("ours", "theirs") if (number + first) % 2 == 0 else ("theirs", "ours")
        took = {side: _timed(folder, some, side) for side in sides}
        for place, key in enumerate(ratios):
            ratios[key].append(took["theirs"][place] / took["ours"][place])
    return ratios


def _some(data: Any, rng: np.random.Generator, block: int) -> Any:
    """Draw some of the images, of each subset a like share."""
    changes: dict[str, Any] = {}
    for name in ("train", "val"):
        images, labels = data.subset(name)
        count = min(len(labels), max(1, block * len(labels) // len(data.train_labels)))
        chosen = np.sort(rng.choice(len(labels), count, replace=False))
        changes |= {f"{name}_images": images.taken(chosen), f"{name}_labels": labels[chosen]}
    return replace(data, **changes)


def _timed(folder: Path, data: Any, side: str) -> tuple[float, float]:
    """Train an epoch; return the seconds by the clock and of the processor."""
    import torch

    from trainers.config import TrialConfig
    from trainers.training.finetune import FineTuning

    config = TrialConfig(
        backbone=f"{folder}/my_model.py:build",
        weights="scratch",
        image_size=SIDE,
        tune="all",
        epochs=1,
        batch_size=BATCH,
        optimizer="sgd",
        learning_rate=0.01,
        seed=0,
    )
    training = FineTuning(config, data, device=torch.device("cpu"))
    began, cpu = time.perf_counter(), time.process_time()
    if side == "ours":
        training.run_epoch()
    else:
        _plain_loop(training.network, data)
    return time.perf_counter() - began, time.process_time() - cpu


def _plain_loop(network: Any, data: Any) -> None:
    import torch
    from torch.nn import functional

    shape = (-1, *data.train_images.shape[1:])
    stored = np.memmap(data.train_images.file, np.uint8, mode="r").reshape(shape)
    # The position of each image in the file, and its label.
    train, val = (data.subset(name)[0]._numbers for name in ("train", "val"))  # noqa: SLF001
    labels = torch.tensor(data.train_labels)
    optimizer = torch.optim.SGD(
        network.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    network.train()
    total = 0.0
    for chosen in torch.split(torch.randperm(len(train)), BATCH):
        batch = torch.from_numpy(stored[train[chosen.numpy()]]).float().div_(255)
        loss = functional.cross_entropy(network(batch), labels[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item()
    network.eval()
    correct = 0
    with torch.inference_mode():
        for first in range(0, len(val), 256):
            batch = torch.from_numpy(stored[val[first : first + 256]]).float().div_(255)
            answers = network(batch).argmax(1).numpy()
            correct += int((answers == data.val_labels[first : first + 256]).sum())


def _noise(folder: Path) -> str:
    """Write a few pictures of noise, for a try without pictures."""
    from PIL import Image

    for number in range(20):
        place = folder / "pictures" / "ab"[number % 2] / f"{number}.png"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(number)
            Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8)).save(place)
    return str(folder / "pictures")


def _resident() -> int:
    """The largest resident memory of this process so far, pages of files among it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
