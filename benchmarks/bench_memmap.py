"""Data that are larger than the memory: what two workers take of it, and how fast they train.

A set of 60,000 images of 160 by 160 pixels (4.6 GB), Imagenette's pictures again and again with
noise, is decoded once into the file of `trainers.data.image_store`. Then two workers at once train
a small network for an epoch and validate it: ours by `FineTuning`, theirs by a plain loop of torch
over a `numpy.memmap` of the same file, with the same network, order, batches and optimizer. Both
sides take turns. Printed are the largest resident memory of the two workers together, the file's
own pages among it, and the ratio of the throughputs (medians over the rounds), by the clock and by
the processors' time, which other processes disturb less.

Run: ``python benchmarks/bench_memmap.py FOLDER_OF_PICTURES``; ten minutes and 5 GB of disk.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
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
    parser.add_argument("pictures", nargs="?")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=None, help="of the store; default: a temporary one")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parsed(parser, images=2000, rounds=1)
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
    found: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
    for number in range(options.rounds):
        for side in ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours"):
            pair = _at_once([{**given, "side": side}] * 2)
            together = {key: sum(each[key] for each in pair) for key in pair[0]}
            found[side].append(together)
            print(
                f"round {number + 1}, {side}: {together['rate']:,.0f} images/s, "
                f"{together['cpu_rate']:,.0f} a second of a processor, "
                f"{together['resident'] / 2**30:.2f} GiB resident",
                flush=True,
            )
    for key, name in (("rate", "clock"), ("cpu_rate", "processors' time")):
        ours, theirs = (median(each[key] for each in found[side]) for side in ("ours", "theirs"))
        print(f"ratio by the {name}: {ours / theirs:.2f}")
    most = max(each["resident"] for each in found["ours"]) / 2**30
    print(f"two workers of ours together: at most {most:.2f} GiB resident (wanted: 2)")


def _at_once(work: list[dict[str, Any]]) -> list[dict[str, float]]:
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


def worked(*, folder: str, images: int, pictures: str | None, side: str) -> dict[str, float]:
    """Do the work of one process."""
    import os

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
    return _trained(Path(folder), side)


def _trained(folder: Path, side: str) -> dict[str, float]:
    import pickle

    import torch

    from trainers.config import TrialConfig
    from trainers.training.finetune import FineTuning

    data = pickle.loads((folder / "data.pickle").read_bytes())  # noqa: S301 - written above
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
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    count = len(data.train_labels) + len(data.val_labels)
    return {"rate": count / wall, "cpu_rate": count / cpu, "resident": _resident()}


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
