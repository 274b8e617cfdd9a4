"""The data set of a sweep, and how it is split."""

from dataclasses import dataclass

from trainers.errors import did_you_mean

_NAMES = (
    "digits",
    "cifar10",
    "cifar100",
    "svhn",
    "stl10",
    "mnist",
    "fashion_mnist",
    "caltech101",
)

DEFAULT_IN_MEMORY, DEFAULT_ON_DISK = 2e9, 100e9

RESIZES = ("crop", "squash", "pad")
"""How a picture becomes a square; the first is the default."""


def data_names() -> tuple[str, ...]:
    """Return the names that `DataConfig.name` accepts.

    >>> "digits" in data_names()
    True
    """
    return _NAMES


@dataclass(frozen=True)
class DataConfig:
    """Where the images come from; exactly one of its four sources is given.

    Attributes:
        name: One of `data_names()`.
        folder: A folder with one subfolder of pictures for each class.
        npz: A NumPy archive with `x_train`, `y_train` (and `x_test`, `y_test`, `classes`), or
            `images` and `labels`.
        dataset: A function of a user's own that returns images; see `trainers.data.own`.
        root: Folder that named data sets are read from or downloaded to; default
            `$PARETUNE_DATA`, else `~/.cache/paretune/data`.
        val_fraction: Share of the images that is kept for validation, in (0, 1). Of the official
            training images where there is an official test set.
        test_fraction: Share that is kept for testing, in (0, 1). Ignored where there is an
            official test set (CIFAR, MNIST, Fashion-MNIST, SVHN, STL-10, an npz with `x_test`),
            which is then used whole.
        seed: Decides which image goes to which subset.
        image_size: Side in pixels that all images are brought to; default: their own, and
            `default_size` for pictures that differ in size or are large.
        resize: How an image becomes a square: `crop` (its largest centred square; the default),
            `squash` (its sides are stretched) or `pad` (black is added).
        limit: Use at most this many images in all, with the classes in their proportions; for
            quick tries.
        edges: A wavelet, by which all images are replaced by their edges, as ``haar`` or
            ``db2:3``; see `trainers.data.wavelet_edges`.
        default_size: Side in pixels of pictures that have no common size; in a sweep, the input
            size of its backbone.
        in_memory: Bytes of decoded images up to which they are kept in memory; larger sets are
            decoded once into a file; see `trainers.data.image_store`.
        on_disk: Bytes of all files of decoded images, at most.
        images_folder: Folder of these files; default `$PARETUNE_IMAGES`, else
            `~/.cache/paretune/images`.
    """

    name: str | None = None
    folder: str | None = None
    npz: str | None = None
    dataset: str | None = None
    root: str | None = None
    val_fraction: float = 0.15
    test_fraction: float = 0.2
    seed: int = 0
    image_size: int | None = None
    resize: str | None = None
    limit: int | None = None
    edges: str | None = None
    default_size: int = 224
    in_memory: float = DEFAULT_IN_MEMORY
    on_disk: float = DEFAULT_ON_DISK
    images_folder: str | None = None

    def __post_init__(self) -> None:
        """Check everything that can be checked without reading data.

        Raises:
            ValueError: A combination or a range is wrong; the message names it.
        """
        self._check_source()
        self._check_fractions()
        if self.edges is not None:
            # Imported here: this module needs no NumPy.
            from trainers.data.wavelet_edges import wavelet_of

            wavelet_of(self.edges)
        for key, value in (("image_size", self.image_size), ("limit", self.limit)):
            if value is not None and value < 1:
                raise ValueError(f"data: {key} is {value}; at least 1 is needed.")
        for key, size in (("in_memory", self.in_memory), ("on_disk", self.on_disk)):
            # Written so that NaN, which compares false, is rejected too.
            if not size >= 0:
                raise ValueError(f"data: {key} is {size}; a number of bytes is needed, as in 2GB.")
        if self.resize not in (None, *RESIZES):
            hint = did_you_mean(str(self.resize), RESIZES)
            raise ValueError(
                f"data: resize is {self.resize!r}; known are {', '.join(RESIZES)}.{hint}"
            )

    def _check_source(self) -> None:
        sources = {
            "name": self.name,
            "folder": self.folder,
            "npz": self.npz,
            "dataset": self.dataset,
        }
        given = [key for key, value in sources.items() if value is not None]
        if len(given) != 1:
            raise ValueError(
                f"data: exactly one of name, folder, npz and dataset says where the images come "
                f"from; given: {', '.join(given) or 'none'}."
            )
        if self.name is not None and self.name not in _NAMES:
            hint = did_you_mean(self.name, _NAMES)
            raise ValueError(
                f"data: there is no data set named {self.name!r}. Known: {', '.join(_NAMES)}; "
                f"for your own images give folder or npz.{hint}"
            )

    def _check_fractions(self) -> None:
        fractions = {"val_fraction": self.val_fraction, "test_fraction": self.test_fraction}
        for key, value in fractions.items():
            # Written so that NaN, which compares false, is rejected too.
            if not 0 < value < 1:
                raise ValueError(f"data: {key} is {value}; a fraction between 0 and 1 is needed.")
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"data: val_fraction {self.val_fraction} and test_fraction {self.test_fraction} "
                f"leave nothing to train on; their sum must stay below 1."
            )
