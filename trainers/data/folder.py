"""Pictures in a folder, one subfolder for each class."""

import logging
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from trainers.data.image_data import Images, LabelledImages
from trainers.data.resizing import square
from trainers.errors import DataError

logger = logging.getLogger(__name__)

_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
# Named, because Pillow would otherwise try every format it knows on a file with a wrong
# extension, among them EPS, which starts another program.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I;16L", "I;16B"})
_SUBSET_NAMES = frozenset({"train", "training", "val", "valid", "validation", "test"})
_DEFAULT_SIDE = 64
# What Pillow's decoders let escape on broken files, beyond the OSError that they promise.
_DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


@dataclass(frozen=True)
class _Header:
    """What a picture says about itself before it is decoded."""

    size: tuple[int, int]
    is_grey: bool


def read_folder(
    path: str, image_size: int | None, *, without: frozenset[str] = frozenset()
) -> LabelledImages:
    """Read every picture under `path`; the subfolders' sorted names are the classes.

    Pictures are turned as their EXIF data say, and become RGB, or grey where all of them are.
    They keep their size where it is the same for all and no `image_size` is given; else the
    largest centred square is brought to `image_size` (default 64) pixels.

    Args:
        path: The folder with the class folders.
        image_size: Side in pixels.
        without: Names of subfolders that are no classes.

    Raises:
        DataError: There is no folder, no class, one class, an empty class, a link that leads out
            of the folder, or a picture that cannot be read; the text names it. No picture is ever
            left out in silence.
    """
    root = Path(path).expanduser()
    folders = class_folders(root, without=without)
    files = [
        (file, label) for label, folder in enumerate(folders) for file in _pictures(folder, root)
    ]
    headers = [_header(file) for file, _ in files]
    grey = all(header.is_grey for header in headers)
    side = image_size
    if side is None and len({header.size for header in headers}) > 1:
        side = _DEFAULT_SIDE
        logger.info("the pictures in %s differ in size; all are brought to %d pixels", root, side)
    images = np.stack([_pixels(file, side, grey=grey) for file, _ in files])
    labels = np.array([label for _, label in files], dtype=np.int64)
    return LabelledImages(root.name, tuple(folder.name for folder in folders), images, labels)


def class_folders(root: Path, *, without: frozenset[str] = frozenset()) -> list[Path]:
    """The folder of each class, sorted by name; no picture is looked at.

    Raises:
        DataError: There is no folder, no class, or one class.
    """
    if not root.is_dir():
        raise DataError(f"data folder {root} does not exist, or is not a folder.")
    visible = (entry for entry in root.iterdir() if not entry.name.startswith("."))
    entries = sorted(entry for entry in visible if entry.name not in without)
    folders = [entry for entry in entries if entry.is_dir()]
    names = [folder.name for folder in folders]
    wanted = f"Wanted: one subfolder of pictures for each class, as in {root}/cat/1.jpg."
    if not folders:
        raise DataError(f"data folder {root} is empty, or has no class folders. {wanted}")
    if {name.lower() for name in names} <= _SUBSET_NAMES:
        raise DataError(
            f"data folder {root} holds {', '.join(names)}, which are subsets and not classes. "
            f"Give the folder with the classes, such as {folders[0]}; paretune splits by itself."
        )
    if len(folders) == 1:
        raise DataError(f"data folder {root} has one class only ({names[0]!r}). {wanted}")
    loose = len(entries) - len(folders)
    if loose:
        logger.info("%d file(s) directly in %s belong to no class; ignored", loose, root)
    return folders


def _pictures(folder: Path, root: Path) -> list[Path]:
    """The pictures of one class, sorted, at any depth."""
    inside = root.resolve()
    pictures, ignored = [], 0
    for entry in [folder, *sorted(folder.rglob("*"))]:
        if entry.is_symlink() and not entry.resolve().is_relative_to(inside):
            raise DataError(
                f"{entry} is a link to {entry.resolve()}, outside of the data folder {root}. Copy "
                f"what it points to into the folder."
            )
        if entry.is_dir():
            continue
        if entry.suffix.lower() in _EXTENSIONS and not entry.name.startswith("."):
            pictures.append(entry)
        else:
            ignored += 1
    if ignored:
        logger.info(
            "%d file(s) in %s are not pictures by their extension; ignored", ignored, folder
        )
    if not pictures:
        raise DataError(
            f"class folder {folder} holds no pictures. KnownValues extensions: "
            f"{', '.join(sorted(_EXTENSIONS))}. Add some, or remove the folder."
        )
    return pictures


def _header(file: Path) -> _Header:
    try:
        with _open(file) as image:
            turned = image.getexif().get(0x0112, 1) >= 5  # EXIF orientations 5 to 8 lie sideways.
            size = image.size[::-1] if turned else image.size
            return _Header(size, image.mode in _GREY_MODES)
    except _DECODING_ERRORS as error:
        raise _unreadable(file, error) from error


def _pixels(file: Path, side: int | None, *, grey: bool) -> Images:
    """uint8 (C, H, W) of one picture, C of 1 if `grey`, else 3."""
    try:
        with _open(file) as opened:
            image = _eight_bit(ImageOps.exif_transpose(opened)).convert("L" if grey else "RGB")
    except _DECODING_ERRORS as error:
        raise _unreadable(file, error) from error
    pixels = np.asarray(image if side is None else square(image, side))
    return pixels[None] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey as its upper 8 bits: Pillow's own conversion clips at 255 (seen in 12.x)."""
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels have mode {image.mode}, and 8 or 16 bits are supported")
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _open(file: Path) -> Image.Image:
    with warnings.catch_warnings():
        # A file of some kilobytes can ask for gigabytes; Pillow warns above 89 million pixels.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file, formats=_FORMATS)


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(
        f"picture {file} cannot be read: {error}. Repair or remove it; pictures are never left "
        f"out in silence."
    )
