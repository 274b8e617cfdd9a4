"""Loading of split images from a data config: the only module that knows all sources."""

from dataclasses import replace
from typing import Any

import numpy as np

from trainers.data.config import DataConfig
from trainers.data.copies import digests, first_equals, refuse_sameness
from trainers.data.folder import read_folder
from trainers.data.image_data import ImageData, Images, LabelledImages, Labels
from trainers.data.image_store import ImageStore, store_of
from trainers.data.mapped import mapped_of, taken
from trainers.data.named import read_named
from trainers.data.npz import read_npz
from trainers.data.own import read_own
from trainers.data.resizing import CROP, WORDS, resized
from trainers.data.splits import Indices, split_indices, stratified_choice
from trainers.data.wavelet_edges import edge_images

_Pool = tuple[Images, Labels]
# In the order in which a split hands out its parts; what remains is for training.
_HELD_OUT = ("test", "val")


def load_data(config: DataConfig) -> ImageData:
    """Read, size, limit and split the images that `config` names.

    The same config on the same files gives the same data, and so the same fingerprint. Images
    that are equal, pixel for pixel, are never in two subsets.

    Raises:
        AbsentDataError: There is no data set where the config says.
        DataError: The data set is broken, too small to split, or shows nothing to learn; the text
            names the file or the class.

    >>> load_data(DataConfig(npz="absent.npz"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.AbsentDataError: data file absent.npz does not exist. ...
    """
    store = store_of(config)
    source = _read(config, store)
    pools = {"train": (source.images, source.labels)}
    pools |= {name: pool for name in _HELD_OUT if (pool := getattr(source, name)) is not None}
    pools = _limited(pools, config.limit, config.seed)
    if config.edges is not None:
        pools = {n: (_edges(pool[0], config, store), pool[1]) for n, pool in pools.items()}
    contents = {name: digests(images) for name, (images, _) in pools.items()}
    for name, (_, labels) in pools.items():
        classes = source.classes if name == "train" else ()
        refuse_sameness(first_equals(contents[name]), labels, classes, name=source.name)
    pools, notes = _without_copies(pools, contents)
    subsets, said = _split(pools, first_equals(contents["train"]), source.classes, config)
    arrays: dict[str, Any] = {
        f"{name}_{kind}": array if mapped_of(array) is not None else np.ascontiguousarray(array)
        for name, pool in subsets.items()
        for kind, array in zip(("images", "labels"), pool, strict=True)
    }
    return ImageData(source.name, source.classes, **arrays, notes=(*source.notes, *notes, *said))


def _edges(images: Images, config: DataConfig, store: ImageStore) -> Images:
    def edges(some: Images) -> Images:
        return edge_images(some, str(config.edges))

    mapped = mapped_of(images)
    if mapped is None:
        return edges(images)
    return store.changed(mapped, f"edges {config.edges}", images.shape[1:], edges)


def _read(config: DataConfig, store: ImageStore) -> LabelledImages:
    resize = config.resize or CROP
    if config.folder is not None:
        return read_folder(
            config.folder,
            config.image_size,
            resize=resize,
            default_size=config.default_size,
            store=store,
        )
    if config.npz is not None:
        source = read_npz(config.npz, store)
    elif config.dataset is not None:
        source = read_own(config.dataset, store)
    else:
        source = read_named(
            str(config.name),
            config.root,
            config.image_size,
            resize=resize,
            default_size=config.default_size,
            store=store,
        )
    return _squared(source, config.image_size, resize, store)


def _squared(
    source: LabelledImages, side: int | None, resize: str, store: ImageStore
) -> LabelledImages:
    height, width = source.images.shape[2:]
    if height == width and side in (None, height):
        return source
    images = _resized(source.images, side, resize, store)
    test, val = (
        pool and (_resized(pool[0], side, resize, store), pool[1])
        for pool in (source.test, source.val)
    )
    if images.shape[2] != images.shape[3]:
        note = f"images of {width} by {height} pixels are stretched by the network"
    else:
        note = (
            f"images of {width} by {height} pixels become {images.shape[3]} by {images.shape[2]}"
        )
    if height != width:
        note += f": {WORDS[resize]} (resize: {resize})"
    notes = (note, *source.notes)
    return replace(source, images=images, test=test, val=val, notes=notes)


def _resized(images: Images, side: int | None, resize: str, store: ImageStore) -> Images:
    mapped = mapped_of(images)
    if mapped is None:
        return resized(images, side, resize)
    shape = resized(images[:1], side, resize).shape[1:]
    how = f"{resize} to {side}"
    return store.changed(mapped, how, shape, lambda some: resized(some, side, resize))


def _limited(pools: dict[str, _Pool], limit: int | None, seed: int) -> dict[str, _Pool]:
    """Take at most `limit` images in all, from each pool in proportion to its size."""
    total = sum(len(labels) for _, labels in pools.values())
    if limit is None or limit >= total:
        return pools
    chosen = {}
    for name, (images, labels) in pools.items():
        indices = stratified_choice(labels, limit * len(labels) // total, seed)
        chosen[name] = (taken(images, indices), labels[indices])
    return chosen


def _without_copies(
    pools: dict[str, _Pool], contents: dict[str, list[bytes]]
) -> tuple[dict[str, _Pool], list[str]]:
    """Remove images that another subset holds too: test stays whole, then validation."""
    seen: set[bytes] = set()
    kept, notes = dict(pools), []
    for name in (name for name in ("test", "val", "train") if name in pools):
        is_new = np.array([content not in seen for content in contents[name]], dtype=bool)
        seen.update(contents[name])
        copies = int((~is_new).sum())
        if copies:
            images, labels = pools[name]
            kept[name] = (taken(images, is_new), labels[is_new])
            contents[name] = [
                each for each, new in zip(contents[name], is_new, strict=True) if new
            ]
            notes.append(
                f"{copies:,} {name} image(s) are left out, because they are equal, pixel for "
                f"pixel, to images of {'the test set' if name == 'val' else 'a set held out'}"
            )
    return kept, notes


def _split(
    pools: dict[str, _Pool], firsts: Indices, classes: tuple[str, ...], config: DataConfig
) -> tuple[dict[str, _Pool], list[str]]:
    """All three subsets: the official ones, and what is cut from the training images."""
    images, labels = pools["train"]
    cut = [name for name in _HELD_OUT if name not in pools]
    fractions = {"test": config.test_fraction, "val": config.val_fraction}
    # Copies follow the first of them, so that no two subsets share an image.
    different = np.flatnonzero(firsts == np.arange(len(firsts)))
    parts = split_indices(
        labels[different], classes, tuple(fractions[name] for name in cut), config.seed
    )
    where = _with_copies([different[part] for part in parts], firsts)
    subsets = {name: pools[name] for name in _HELD_OUT if name in pools}
    for name, part in zip([*cut, "train"], where, strict=True):
        subsets[name] = (taken(images, part), labels[part])
    copies = len(firsts) - len(different)
    notes = []
    if copies:
        text = f"{copies:,} image(s) are copies of others, pixel for pixel"
        odd = int((labels != labels[firsts]).sum())
        text += f", {odd:,} of them with another label" if odd else ""
        notes.append(f"{text}; copies are kept in the subset of the first" if cut else text)
    return subsets, notes


def _with_copies(parts: list[Indices], firsts: Indices) -> list[Indices]:
    """Extend each part of the distinct images by the copies of its images."""
    part_of = np.zeros(len(firsts), dtype=np.int64)
    for number, part in enumerate(parts):
        part_of[part] = number
    return [np.flatnonzero(part_of[firsts] == number) for number in range(len(parts))]
