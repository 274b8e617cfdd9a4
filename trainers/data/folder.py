"""Pictures in a folder, one subfolder for each class, as one set or with official subsets."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import __version__ as PIL_VERSION

from trainers.data.image_data import Images, LabelledImages, Labels
from trainers.data.image_store import IN_MEMORY, Decoded, ImageStore, Source
from trainers.data.mapped import taken
from trainers.data.pictures import ENDINGS, Form, Header, read_header, read_pixels
from trainers.data.resizing import CROP, PAD, SQUASH, WORDS
from trainers.errors import AbsentDataError, DataError

# What a subfolder may be called that is a subset and not a class.
_SUBSETS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_SUBSET_OF = {alias: subset for subset, aliases in _SUBSETS.items() for alias in aliases}
# Beside what begins with a dot: what macOS and Synology put thumbnails and metadata into.
_HIDDEN = frozenset({"__MACOSX", "@eaDir"})
# Of a picture that is larger all that could be seen is lost again in the network; a camera's
# pictures have one size, and would take 36 MB each.
_LARGE = 224
_SHOWN = 3


@dataclass
class _LeftOut:
    """What is not read of a folder, summed up in one line."""

    loose: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    flat: str = ""

    def notes(self, root: Path) -> list[str]:
        parts = []
        if self.loose:
            parts.append(f"{self.loose:,} directly in {root}, which belong to no class")
        if self.endings:
            most = ", ".join(f"{count:,} {end}" for end, count in self.endings.most_common(5))
            count = self.endings.total()
            parts.append(f"{count:,} that are no pictures by their endings ({most})")
        if self.hidden:
            parts.append(f"{self.hidden:,} picture(s) that are hidden or in hidden folders")
        if self.flat:
            parts.append(f"all in {self.flat}, where no class folders say what they show")
        return [f"files that are left out: {'; '.join(parts)}"] if parts else []


@dataclass(frozen=True)
class _Layout:
    """Class folders of each subset; `train` alone where the folder is one set."""

    folders: dict[str, list[Path]]
    left_out: _LeftOut

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(folder.name for folder in self.folders["train"])


def read_folder(
    path: str,
    image_size: int | None,
    *,
    without: frozenset[str] = frozenset(),
    resize: str = CROP,
    default_size: int = 224,
    store: ImageStore | None = None,
) -> LabelledImages:
    """Read every picture under `path`; the subfolders' sorted names are the classes.

    Subfolders `train`, `val` and `test` (at least `train`), each with the class folders, are the
    official subsets. Pictures are rotated by their EXIF orientation, composed onto white where
    they are transparent, and converted to RGB, or to grey if all of them are grey. `resize` makes
    them square. Without an `image_size`, pictures of one size keep their pixels unless they are
    large, and others are brought to `default_size`.

    Args:
        path: The folder with the class folders.
        image_size: Side in pixels.
        without: Names of subfolders that are not classes.
        resize: One of `trainers.data.resizing.RESIZES`.
        default_size: Side in pixels of pictures that differ in size.
        store: Keeps the decoded images if they are too large for the memory.

    Raises:
        AbsentDataError: There is no folder, no class, or one class.
        DataError: A class is empty, a link leads out of the folder, or a picture cannot be read;
            the text names it. No picture is ever skipped silently.

    >>> read_folder("absent", None)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.AbsentDataError: ...
    """
    root = Path(path).expanduser()
    layout = _layout(root, without)
    files = _files(layout, root)
    headers = [read_header(file) for _, file, _ in files]
    form, notes = _form(headers, image_size, resize, default_size)
    images, transparent = _read_all([file for _, file, _ in files], form, store)
    if transparent:
        notes.append(f"transparent parts of {transparent:,} picture(s) are white now")
    subsets = np.array([subset for subset, _, _ in files])
    labels = np.array([label for _, _, label in files], dtype=np.int64)
    parts: dict[str, tuple[Images, Labels]] = {
        subset: (taken(images, subsets == subset), labels[subsets == subset])
        for subset in layout.folders
    }
    if len(parts) > 1:
        notes.append(f"the subfolders {', '.join(parts)} of {root} are its subsets")
    return LabelledImages(
        root.name,
        layout.classes,
        *(parts["train"] if len(parts) > 1 else (images, labels)),
        test=parts.get("test"),
        val=parts.get("val"),
        notes=tuple(notes + layout.left_out.notes(root)),
    )


def class_folders(root: Path, *, without: frozenset[str] = frozenset()) -> list[Path]:
    """List the folder of each class, sorted by name, without opening any picture.

    Raises:
        AbsentDataError: There is no folder, no class, or one class.
        DataError: Official subsets disagree about the classes.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("dog", "cat"):
    ...         Path(folder, name).mkdir()
    ...     [each.name for each in class_folders(Path(folder))]
    ['cat', 'dog']
    """
    return _layout(root, without).folders["train"]


def _layout(root: Path, without: frozenset[str]) -> _Layout:
    if not root.is_dir():
        raise AbsentDataError(f"data folder {root} does not exist, or is not a folder.")
    left_out = _LeftOut()
    folders = _folders(root, without, left_out)
    wanted = f"Wanted: one subfolder of pictures for each class, as in {root}/cat/1.jpg."
    if not folders:
        raise AbsentDataError(f"data folder {root} is empty, or has no class folders. {wanted}")
    others = [folder.name for folder in folders if folder.name.lower() not in _SUBSET_OF]
    if not others:
        return _official(root, folders, left_out)
    found = {_SUBSET_OF.get(folder.name.lower()) for folder in folders}
    if "train" in found and found & {"val", "test"}:
        raise AbsentDataError(
            f"data folder {root} holds subsets and beside them {', '.join(others[:_SHOWN])}: are "
            f"these classes or subsets? Move what is no subset out of the folder, or give the "
            f"folder with the classes."
        )
    if len(folders) == 1:
        name = folders[0].name
        raise AbsentDataError(f"data folder {root} has one class only ({name!r}). {wanted}")
    return _Layout({"train": folders}, left_out)


def _folders(root: Path, without: frozenset[str], left_out: _LeftOut) -> list[Path]:
    """Visible folders in `root`, sorted."""
    entries = sorted(
        entry
        for entry in root.iterdir()
        if not _is_hidden(Path(entry.name)) and entry.name not in without
    )
    folders = [entry for entry in entries if entry.is_dir()]
    left_out.loose += len(entries) - len(folders)
    for folder in folders:
        # Bytes that are no UTF-8: no report, no database and no file of results can hold them.
        if any("\ud800" <= letter <= "\udfff" for letter in folder.name):
            raise DataError(
                f"a class folder in {root} has a name that is not in UTF-8 ({folder.name!r}). "
                f"Rename it."
            )
    return folders


def _official(root: Path, folders: Sequence[Path], left_out: _LeftOut) -> _Layout:
    """Official subsets: `train`, and `val` or `test` or both."""
    subsets: dict[str, list[Path]] = {}
    for folder in folders:
        subset = _SUBSET_OF[folder.name.lower()]
        if subset in subsets:
            raise AbsentDataError(
                f"data folder {root} holds two subfolders for one subset, one of them "
                f"{folder.name}: keep one of {', '.join(_SUBSETS[subset])}."
            )
        inner = _folders(folder, frozenset(), left_out)
        if inner or subset == "train":
            subsets[subset] = inner
        else:
            left_out.flat = f"{folder}"
    classes = {folder.name for folder in subsets.get("train", ())}
    if len(classes) < 2:
        names = ", ".join(folder.name for folder in folders)
        raise AbsentDataError(
            f"data folder {root} holds {names}, which are subsets and not classes, and none of "
            f"them is a training set of two classes or more. Wanted: {root}/train/cat/1.jpg, with "
            f"the same class folders in val and test; or give the folder with the classes."
        )
    for subset, inner in subsets.items():
        strange = [folder.name for folder in inner if folder.name not in classes]
        if strange:
            raise DataError(
                f"data folder {root}: the {subset} set has the class folder(s) "
                f"{', '.join(map(repr, strange[:_SHOWN]))}, which the training set lacks. Give "
                f"the class folders the same names in each subset."
            )
    return _Layout({name: subsets[name] for name in _SUBSETS if name in subsets}, left_out)


def _files(layout: _Layout, root: Path) -> list[tuple[str, Path, int]]:
    """List all pictures, each with its subset and its label."""
    return [
        (subset, file, layout.classes.index(folder.name))
        for subset, folders in layout.folders.items()
        for folder in folders
        for file in _pictures(folder, root, layout.left_out)
    ]


def _is_hidden(path: Path) -> bool:
    """Return whether a part of the path is hidden, as folders of copies and thumbnails are."""
    return any(part.startswith(".") or part in _HIDDEN for part in path.parts)


def _pictures(folder: Path, root: Path, left_out: _LeftOut) -> list[Path]:
    """The pictures of one class, sorted, at any depth."""
    inside = root.resolve()
    pictures = []
    for entry in [folder, *sorted(folder.rglob("*"))]:
        is_picture = entry.suffix.lower() in ENDINGS
        if _is_hidden(entry.relative_to(folder)):
            left_out.hidden += is_picture
            continue
        if entry.is_symlink() and not entry.resolve().is_relative_to(inside):
            raise DataError(
                f"{entry} is a link to {entry.resolve()}, outside of the data folder {root}. Copy "
                f"what it points to into the folder."
            )
        if entry.is_dir():
            continue
        if is_picture:
            pictures.append(entry)
        else:
            left_out.endings[entry.suffix.lower() or "without an ending"] += 1
    if not pictures:
        raise AbsentDataError(
            f"class folder {folder} holds no pictures. Known extensions: "
            f"{', '.join(sorted(ENDINGS))}. Add some, or remove the folder."
        )
    return pictures


def _form(
    headers: Sequence[Header], image_size: int | None, resize: str, default_size: int
) -> tuple[Form, list[str]]:
    """Return the common form of the pictures, and notes about the conversion."""
    sizes = sorted({header.size for header in headers})
    side = image_size
    if side is None and (len(sizes) > 1 or max(sizes[0]) > max(_LARGE, default_size)):
        side = default_size
    notes = _geometry(sizes, side, resize)
    largest = max((header.largest for header in headers if header.largest is not None), default=0)
    bits = max(largest.bit_length(), 8) if largest else 16
    deep = sum(header.largest is not None for header in headers)
    if deep:
        notes.append(
            f"{deep:,} grey picture(s) of 16 bits hold values up to {largest:,}, which take "
            f"{bits} bits; the upper 8 of these are used"
        )
    colours = sum(header.has_deep_colours for header in headers)
    if colours:
        notes.append(
            f"of {colours:,} picture(s) with colours of 16 bits the upper 8 are used; where the "
            f"values take fewer bits, such as 12, convert them to 8 bits first"
        )
    frames = sum(header.has_frames for header in headers)
    if frames:
        notes.append(f"of {frames:,} picture(s) with several frames or pages the first is used")
    grey = all(header.is_grey for header in headers)
    return Form(side, resize, grey=grey, bits=bits), notes


def _geometry(sizes: Sequence[tuple[int, int]], side: int | None, resize: str) -> list[str]:
    """Describe how pictures of these sizes are resized; empty if they keep their size."""
    of = " by ".join(map(str, sizes[0]))
    said = f"pictures of {of} pixels"
    if len(sizes) > 1:
        said = f"pictures of {len(sizes):,} sizes, from {of} to {sizes[-1][0]} by {sizes[-1][1]}"
    is_square = all(width == height for width, height in sizes)
    if side is not None:
        if set(sizes) == {(side, side)}:
            return []
        cause = "" if is_square else f": {WORDS[resize]} (resize: {resize})"
        return [f"{said}, are brought to {side} by {side}{cause}"]
    if is_square:
        return []
    if resize == SQUASH:
        return [f"{said} keep their size, and the network stretches them (resize: {resize})"]
    square = max(sizes[0]) if resize == PAD else min(sizes[0])
    return [f"{said} become {square} by {square}: {WORDS[resize]} (resize: {resize})"]


def _read_all(files: Sequence[Path], form: Form, store: ImageStore | None) -> tuple[Images, int]:
    """uint8 (N, C, H, W), and how many pictures had transparent parts."""

    def decode(first: int) -> Iterator[Decoded]:
        return (read_pixels(file, form) for file in files[first:])

    facts = [each.stat() for each in files]
    key = hashlib.sha256(f"{form} Pillow {PIL_VERSION}".encode())
    for file, fact in zip(files, facts, strict=True):
        key.update(f"{file.resolve()} {fact.st_size} {fact.st_mtime_ns}\n".encode())
    shape = read_pixels(files[0], form)[0].shape
    name = f"data.folder {files[0].parent.parent}"
    source = Source(name, key.hexdigest(), len(files), shape, decode)
    images, transparent = (store or IN_MEMORY).kept(source)
    return images, int(transparent.sum())
