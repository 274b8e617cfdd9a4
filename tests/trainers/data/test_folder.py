import logging
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data.folder import read_folder
from trainers.errors import DataError


def picture(
    path: Path, size: tuple[int, int] = (10, 8), mode: str = "RGB", value: int = 7
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 255)).save(path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pets"
    for name, value in (("cat", 10), ("dog", 20)):
        for index in range(3):
            picture(folder / name / f"{index}.png", value=value + index)
    return folder


def test_subfolders_are_classes_and_pictures_keep_their_size(root: Path) -> None:
    data = read_folder(str(root), None)
    assert (data.name, data.classes, data.test) == ("pets", ("cat", "dog"), None)
    assert data.images.shape == (6, 3, 8, 10)
    assert data.images.dtype == np.uint8
    assert data.images[:, 0, 0, 0].tolist() == [10, 11, 12, 20, 21, 22]
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.labels.dtype == np.int64


def test_the_order_of_files_on_disk_does_not_matter(root: Path) -> None:
    before = read_folder(str(root), None)
    first = root / "cat" / "0.png"
    content = first.read_bytes()
    first.unlink()
    first.write_bytes(content)
    assert np.array_equal(read_folder(str(root), None).images, before.images)


def test_pictures_of_many_sizes_become_64_pixels_or_what_is_asked(root: Path) -> None:
    picture(root / "cat" / "wide.jpg", (50, 20))
    assert read_folder(str(root), None).images.shape == (7, 3, 64, 64)
    assert read_folder(str(root), 5).images.shape == (7, 3, 5, 5)


def test_all_grey_pictures_stay_grey_and_one_coloured_makes_all_coloured(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / name / "1.png", mode="L")
    assert read_folder(str(tmp_path), None).images.shape == (2, 1, 8, 10)
    picture(tmp_path / "b" / "2.png")
    data = read_folder(str(tmp_path), None)
    assert data.images.shape == (3, 3, 8, 10)
    assert data.images[0, :, 0, 0].tolist() == [7, 7, 7]


def test_deep_greys_keep_their_upper_bits(root: Path, tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    for name, value in (("a", 0x1234), ("b", 0xFF00)):
        (deep / name).mkdir(parents=True)
        Image.fromarray(np.full((4, 4), value, dtype=np.uint16)).save(deep / name / "1.png")
    assert read_folder(str(deep), None).images[:, 0, 0, 0].tolist() == [0x12, 0xFF]


def test_sideways_photographs_are_turned(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (10, 4)).save(tmp_path / name / "1.jpg", exif=exif)
    assert read_folder(str(tmp_path), None).images.shape == (2, 3, 10, 4)


def test_other_files_are_ignored_and_counted(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "readme.txt").write_text("loose")
    (root / "cat" / "notes.txt").write_text("not a picture")
    (root / "cat" / "._0.png").write_bytes(b"what macOS leaves behind")
    (root / ".cache").mkdir()
    with caplog.at_level(logging.INFO):
        assert len(read_folder(str(root), None).labels) == 6
    assert f"2 file(s) in {root / 'cat'}" in caplog.text
    assert "1 file(s) directly in" in caplog.text


def test_pictures_are_found_at_any_depth(root: Path) -> None:
    picture(root / "dog" / "puppies" / "1.PNG")
    assert read_folder(str(root), None).labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


def truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])


def text(path: Path) -> None:
    path.write_text("this is no picture")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def bomb(path: Path) -> None:
    # A PNG of a few bytes that says it is 100,000 pixels wide and high.
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))


def smaller_bomb(path: Path) -> None:
    # Between Pillow's limit, where it warns, and twice that, where it raises.
    bomb(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 10_000, 10_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    path.write_bytes(bytes(content))


def postscript(path: Path) -> None:
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")


def floats(path: Path) -> None:
    Image.fromarray(np.full((8, 10), 0.5, dtype=np.float32)).save(path, format="TIFF")


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (truncated, "truncated"),
        (text, "cannot identify"),
        (empty, "cannot identify"),
        (bomb, "decompression bomb"),
        (smaller_bomb, "decompression bomb"),
        # Refused before its interpreter is started.
        (postscript, "cannot identify"),
        (floats, "mode F"),
    ],
)
def test_a_picture_that_cannot_be_read_is_named(  # type: ignore[no-untyped-def]
    root: Path, break_it, reason: str
) -> None:
    broken = root / "dog" / "1.png"
    break_it(broken)
    with pytest.raises(DataError, match=reason) as caught:
        read_folder(str(root), None)
    assert f"{broken} cannot be read" in str(caught.value)


def test_links_that_leave_the_folder_are_refused(root: Path, tmp_path: Path) -> None:
    secret = picture(tmp_path / "elsewhere" / "secret.png")
    link = root / "cat" / "link.png"
    link.symlink_to(secret)
    with pytest.raises(DataError, match="outside of the data folder") as caught:
        read_folder(str(root), None)
    assert str(link) in str(caught.value)
    link.unlink()
    (root / "bird").symlink_to(secret.parent)
    with pytest.raises(DataError, match="outside of the data folder"):
        read_folder(str(root), None)


def test_links_that_stay_inside_are_followed(root: Path) -> None:
    (root / "cat" / "same.png").symlink_to(root / "cat" / "0.png")
    assert len(read_folder(str(root), None).labels) == 7


def test_the_folder_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert len(read_folder(str(tmp_path / "link"), None).labels) == 6


def test_folders_without_two_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_folder(str(tmp_path / "absent"), None)
    with pytest.raises(DataError, match="is empty, or has no class folders"):
        read_folder(str(tmp_path), None)
    picture(tmp_path / "cat" / "1.png")
    with pytest.raises(DataError, match=r"one class only \('cat'\)"):
        read_folder(str(tmp_path), None)
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataError, match="dog holds no pictures"):
        read_folder(str(tmp_path), None)


def test_subsets_are_not_taken_for_classes(root: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    root.rename(whole / "train")
    picture(whole / "val" / "cat" / "1.png")
    with pytest.raises(DataError, match="subsets and not classes"):
        read_folder(str(whole), None)


@pytest.mark.shared_data
def test_real_photographs_are_read(shared_data: Path, tmp_path: Path) -> None:
    packed = shared_data / "imagenette160_subset" / "imagenette2-160_2000train_1000val.zip"
    with zipfile.ZipFile(packed) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".jpeg")]
        archive.extractall(tmp_path, members=names[::20])
    folders = {(tmp_path / name).parent.parent for name in names[::20]}
    for folder in folders:
        data = read_folder(str(folder), 32)
        assert data.images.shape == (len(list(folder.rglob("*.JPEG"))), 3, 32, 32)
        assert len(data.classes) == 10
        assert data.images.mean() == pytest.approx(0.45 * 255, rel=0.1)
