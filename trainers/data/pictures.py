"""One picture file: its header and its pixels."""

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from trainers.data.image_data import Images
from trainers.data.resizing import fitted
from trainers.errors import DataError

ENDINGS = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
"""Endings of the files that are read, in lower case."""

# Named, because Pillow would otherwise try every format it knows on a file with a wrong
# extension, among them EPS, which starts another program.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I;16L", "I;16B"})
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
class Header:
    """Facts of a picture file.

    Attributes:
        size: Width and height in pixels, after rotation by its EXIF orientation.
        is_grey: Whether it has one channel, apart from an alpha channel.
        largest: The largest value of a grey picture of 16 bits; None for any other.
        has_deep_colours: Whether its colours have 16 bits, of which Pillow gives the upper 8.
        has_frames: Whether it is animated, or has several pages.
    """

    size: tuple[int, int]
    is_grey: bool
    largest: int | None
    has_deep_colours: bool
    has_frames: bool


@dataclass(frozen=True)
class Form:
    """The form that all pictures of a set are converted to.

    Attributes:
        side: In pixels; None keeps the pixels' size.
        resize: One of `trainers.data.resizing.RESIZES`.
        grey: Whether they have one channel instead of three.
        bits: How many bits the values of 16-bit grey pictures take, at least 8.
    """

    side: int | None
    resize: str
    grey: bool
    bits: int = 16


def read_header(file: Path) -> Header:
    """Read the header of a picture; a 16-bit grey one has to be decoded for that.

    Raises:
        DataError: It cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("L", (8, 6)).save(Path(folder, "grey.png"))
    ...     read_header(Path(folder, "grey.png")).is_grey
    True
    """
    try:
        with _open(file) as image:
            # First, because reading a PNG's EXIF data loads its pixels and drops its tiles.
            deep = any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
            turned = image.getexif().get(0x0112, 1) >= 5  # EXIF orientations 5 to 8 are sideways.
            return Header(
                size=image.size[::-1] if turned else image.size,
                is_grey=image.mode in _GREY_MODES,
                has_deep_colours=deep and not image.mode.startswith("I"),
                # A phone's MPO photograph is one picture, whatever else the file holds.
                has_frames=bool(getattr(image, "is_animated", False)) and image.format != "MPO",
                # Last, because it loads the pixels.
                largest=int(np.asarray(image).max()) if image.mode.startswith("I;16") else None,
            )
    except _DECODING_ERRORS as error:
        raise _unreadable(file, error) from error


def read_pixels(file: Path, form: Form) -> tuple[Images, bool]:
    """Read a picture in the form of its set.

    Returns:
        uint8 (C, H, W), and whether parts of it were transparent and became white.

    Raises:
        DataError: It cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> form = Form(side=4, resize="crop", grey=False)
    >>> with TemporaryDirectory() as folder:
    ...     Image.new("RGBA", (8, 6)).save(Path(folder, "clear.png"))
    ...     pixels, was_transparent = read_pixels(Path(folder, "clear.png"), form)
    >>> pixels.shape, int(pixels.min()), was_transparent
    ((3, 4, 4), 255, True)
    """
    try:
        with _open(file) as opened:
            turned = _eight_bit(ImageOps.exif_transpose(opened), form.bits)
            image, was_transparent = _on_white(turned)
            image = image.convert("L" if form.grey else "RGB")
    except _DECODING_ERRORS as error:
        raise _unreadable(file, error) from error
    pixels = np.asarray(fitted(image, form.side, form.resize))
    channels_first = pixels[None] if form.grey else pixels.transpose(2, 0, 1)
    return channels_first, was_transparent


def _eight_bit(image: Image.Image, bits: int) -> Image.Image:
    """16-bit grey as the upper 8 of its `bits`: Pillow's own conversion clips at 255 (12.x)."""
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels have mode {image.mode}, and 8 or 16 bits are supported")
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> (bits - 8)).astype(np.uint8))


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """Compose a picture onto white; return it, and whether any of the white shows.

    The color of transparent pixels is arbitrary, and often black.
    """
    if not image.has_transparency_data:
        return image, False
    seen = image.convert("RGBA")
    opacity = seen.getchannel("A").getextrema()[0]
    if opacity == 255:
        return image, False
    white = Image.new("RGBA", seen.size, "white")
    return Image.alpha_composite(white, seen).convert("RGB"), True


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
