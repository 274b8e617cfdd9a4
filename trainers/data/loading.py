"""From a data config to split images: the only place that knows all sources."""

import numpy as np

from trainers.data.config import DataConfig
from trainers.data.folder import read_folder
from trainers.data.image_data import ImageData, Images, LabelledImages, Labels
from trainers.data.named import read_named
from trainers.data.npz import read_npz
from trainers.data.resizing import resized
from trainers.data.splits import split_indices, stratified_choice


def load_data(config: DataConfig) -> ImageData:
    """Read, size, limit and split the images that `config` names.

    The same config on the same files gives the same data, and so the same fingerprint.

    Raises:
        DataError: The data set is absent, broken, or too small to split; the text names the file
            or the class.
    """
    source = _read(config)
    images, labels, test = source.images, source.labels, source.test
    if test is not None:
        # The official test set is kept apart; validation is cut from the training images.
        (images, labels), (test_images, test_labels) = _limited(
            [(images, labels), test], config.limit, config.seed
        )
        val, train = split_indices(labels, source.classes, (config.val_fraction,), config.seed)
    else:
        ((images, labels),) = _limited([(images, labels)], config.limit, config.seed)
        fractions = (config.test_fraction, config.val_fraction)
        held_out, val, train = split_indices(labels, source.classes, fractions, config.seed)
        test_images, test_labels = images[held_out], labels[held_out]
    return ImageData(
        name=source.name,
        classes=source.classes,
        train_images=np.ascontiguousarray(images[train]),
        train_labels=labels[train],
        val_images=np.ascontiguousarray(images[val]),
        val_labels=labels[val],
        test_images=np.ascontiguousarray(test_images),
        test_labels=np.ascontiguousarray(test_labels),
    )


def _read(config: DataConfig) -> LabelledImages:
    if config.folder is not None:
        return read_folder(config.folder, config.image_size)
    if config.npz is not None:
        source = read_npz(config.npz)
    else:
        source = read_named(str(config.name), config.root, config.image_size)
    if config.image_size is None:
        return source
    test = source.test and (resized(source.test[0], config.image_size), source.test[1])
    images = resized(source.images, config.image_size)
    return LabelledImages(source.name, source.classes, images, source.labels, test)


def _limited(
    pools: list[tuple[Images, Labels]], limit: int | None, seed: int
) -> list[tuple[Images, Labels]]:
    """At most `limit` images in all, shared out between the pools by their sizes."""
    total = sum(len(labels) for _, labels in pools)
    if limit is None or limit >= total:
        return pools
    chosen = []
    for images, labels in pools:
        indices = stratified_choice(labels, limit * len(labels) // total, seed)
        chosen.append((images[indices], labels[indices]))
    return chosen
