import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data.folder import read_folder
from trainers.errors import DataError


def picture(path: Path, size: tuple[int, int] = (8, 8), mode: str = "RGB", value: int = 7) -> Path:
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
    assert data.images.shape == (6, 3, 8, 8)
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


def test_pictures_of_many_sizes_become_what_the_backbone_sees_or_what_is_asked(root: Path) -> None:
    picture(root / "cat" / "wide.jpg", (50, 20))
    assert read_folder(str(root), None).images.shape == (7, 3, 224, 224)
    data = read_folder(str(root), None, default_size=28)
    assert data.images.shape == (7, 3, 28, 28)
    assert data.notes == (
        "pictures of 2 sizes, from 8 by 8 to 50 by 20, are brought to 28 by 28: the largest "
        "centred square of each picture is kept (resize: crop)",
    )
    assert read_folder(str(root), 5).images.shape == (7, 3, 5, 5)


def test_all_grey_pictures_stay_grey_and_one_coloured_makes_all_coloured(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / name / "1.png", mode="L")
    assert read_folder(str(tmp_path), None).images.shape == (2, 1, 8, 8)
    picture(tmp_path / "b" / "2.png")
    data = read_folder(str(tmp_path), None)
    assert data.images.shape == (3, 3, 8, 8)
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
    assert read_folder(str(tmp_path), None, resize="squash").images.shape == (2, 3, 10, 4)


def test_other_files_are_left_out_and_said_in_one_line(root: Path) -> None:
    (root / "readme.txt").write_text("loose")
    (root / "cat" / "notes.txt").write_text("not a picture")
    (root / "cat" / "0.heic").write_text("a kind that is not read")
    (root / "cat" / "._0.png").write_bytes(b"what macOS leaves behind")
    (root / ".cache").mkdir()
    data = read_folder(str(root), None)
    assert len(data.labels) == 6
    assert data.notes == (
        f"files that are left out: 1 directly in {root}, which belong to no class; 2 that are no "
        f"pictures by their endings (1 .heic, 1 .txt); 1 picture(s) that are hidden or in hidden "
        f"folders",
    )


@pytest.mark.parametrize(
    "place", [".ipynb_checkpoints", "puppies/.thumbnails", ".AppleDouble/deep", "__MACOSX/x"]
)
def test_hidden_folders_are_skipped_at_any_depth(root: Path, place: str) -> None:
    picture(root / "cat" / place / "0.png", value=10)
    picture(root / "__MACOSX" / "cat" / "0.png")
    data = read_folder(str(root), None)
    assert (len(data.labels), data.classes) == (6, ("cat", "dog"))
    (note,) = data.notes
    assert "1 picture(s) that are hidden or in hidden folders" in note


def test_a_folder_that_lies_in_a_hidden_one_is_read(root: Path, tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    root.rename(tmp_path / ".cache" / "pets")
    assert len(read_folder(str(tmp_path / ".cache" / "pets"), None).labels) == 6


@pytest.mark.parametrize("ending", [".jfif", ".JFIF", ".jpe"])
def test_other_endings_of_jpeg_are_read(root: Path, ending: str) -> None:
    picture(root / "cat" / "3.jpg").rename(root / "cat" / f"3{ending}")
    data = read_folder(str(root), None)
    assert (len(data.labels), data.notes) == (7, ())


@pytest.mark.parametrize(
    ("resize", "side", "seen"), [("crop", 10, 255), ("squash", 30, None), ("pad", 30, None)]
)
def test_one_rule_shapes_all_pictures(
    tmp_path: Path, resize: str, side: int, seen: int | None
) -> None:
    # Black with a white middle: a crop shows white alone.
    wide = Image.new("L", (30, 10), 0)
    wide.paste(255, (10, 0, 20, 10))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        wide.save(tmp_path / name / "1.png")
    alone = read_folder(str(tmp_path), None, resize=resize)
    assert alone.images.shape[-1] == side
    assert f"resize: {resize}" in alone.notes[0]
    (before,) = alone.images[:1]
    picture(tmp_path / "b" / "odd.png", (9, 9), mode="L")
    (after,) = read_folder(str(tmp_path), None, resize=resize, default_size=side).images[:1]
    if resize == "squash":
        # Without a size in common the network's stretching is done here.
        assert (before.shape, after.shape) == ((1, 10, 30), (1, 30, 30))
        assert (after == before.repeat(3, axis=1)).mean() > 0.9
    else:
        assert np.array_equal(before, after)
    if seen is not None:
        assert after.min() == seen


def test_a_cameras_pictures_are_not_kept_whole(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2)):
        picture(tmp_path / name / "1.jpg", (640, 480), value=value)
    assert read_folder(str(tmp_path), None).images.shape == (2, 3, 224, 224)
    assert read_folder(str(tmp_path), None, default_size=288).images.shape == (2, 3, 288, 288)


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    # Everywhere black beneath: the shape is in the alpha channel alone.
    for name, mode in (("a", "RGBA"), ("b", "LA"), ("c", "P")):
        (tmp_path / name).mkdir()
        shape = Image.new("RGBA", (6, 6), (0, 0, 0, 0))
        shape.paste((0, 0, 0, 255), (0, 0, 3, 6))
        shape.convert(mode).save(tmp_path / name / "1.png")
    picture(tmp_path / "c" / "opaque.png", (6, 6), mode="RGB")
    data = read_folder(str(tmp_path), None)
    for image in data.images[:3]:
        assert (image[:, :, :3] == 0).all()
        assert (image[:, :, 3:] == 255).all()
    assert data.notes == ("transparent parts of 3 picture(s) are white now",)


def test_an_alpha_channel_that_hides_nothing_changes_nothing(root: Path) -> None:
    before = read_folder(str(root), None).images
    for file in root.rglob("*.png"):
        with Image.open(file) as image:
            image.load()
        image.convert("RGBA").save(file)
    after = read_folder(str(root), None)
    assert np.array_equal(after.images, before)
    assert after.notes == ()


def test_twelve_bits_in_files_of_sixteen_keep_eight(tmp_path: Path) -> None:
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for name, values in (("a", ramp), ("b", ramp // 2)):
        (tmp_path / name).mkdir()
        Image.fromarray(values).save(tmp_path / name / "1.png")
    data = read_folder(str(tmp_path), None)
    assert [len(np.unique(image)) for image in data.images] == [256, 128]
    # One scale for the whole set: what was half as bright still is.
    assert abs(data.images[0] / 2 - data.images[1]).max() <= 0.5
    assert data.notes == (
        "2 grey picture(s) of 16 bits hold values up to 4,095, which take 12 bits; the upper 8 of "
        "these are used",
    )


def test_colours_of_sixteen_bits_and_several_frames_are_said(root: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\x12\x34" * 24) * 8))
    deep = b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
    (root / "cat" / "deep.png").write_bytes(deep)
    frames = [Image.new("RGB", (8, 8), (value, 9, 9)) for value in (1, 200)]
    frames[0].save(root / "cat" / "moving.gif", save_all=True, append_images=frames[1:])
    # As telephones write it.
    photograph = root / "cat" / "photograph.jpg"
    frames[0].save(photograph, format="MPO", save_all=True, append_images=frames[1:])
    data = read_folder(str(root), None)
    assert len(data.labels) == 9
    assert "of 1 picture(s) with colours of 16 bits" in data.notes[0]
    assert "of 1 picture(s) with several frames" in data.notes[1]


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


def test_a_class_whose_name_is_no_text_is_refused(root: Path) -> None:
    (root / "dog").rename(root / os.fsdecode(b"caf\xe9"))
    with pytest.raises(DataError, match=r"not in UTF-8 \('caf") as caught:
        read_folder(str(root), None)
    assert str(caught.value).encode()


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "testing")])
def test_subsets_are_official_splits(root: Path, tmp_path: Path, names: tuple[str, ...]) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    root.rename(whole / names[0])
    picture(whole / names[1] / "dog" / "1.png", value=100)
    picture(whole / names[2] / "cat" / "1.png", value=101)
    picture(whole / names[2] / ".hidden" / "1.png")
    data = read_folder(str(whole), None)
    assert (data.name, data.classes, data.labels.tolist()) == (
        "whole",
        ("cat", "dog"),
        [0, 0, 0, 1, 1, 1],
    )
    assert data.val is not None
    assert data.test is not None
    assert (data.val[1].tolist(), data.test[1].tolist()) == ([1], [0])
    assert (data.val[0][0, 0, 0, 0], data.test[0][0, 0, 0, 0]) == (100, 101)
    assert data.notes[0] == f"the subfolders train, val, test of {whole} are its subsets"


def test_one_official_subset_is_enough(root: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    root.rename(whole / "train")
    picture(whole / "val" / "dog" / "1.png", value=100)
    data = read_folder(str(whole), None)
    assert (data.val is None, data.test is None) == (False, True)


def test_a_test_set_without_classes_is_left_out(root: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    root.rename(whole / "train")
    picture(whole / "test" / "1.png")
    data = read_folder(str(whole), None)
    assert (data.test, len(data.labels)) == (None, 6)
    assert any("where no class folders say what they show" in note for note in data.notes)


def test_subsets_that_cannot_be_meant_are_refused(root: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    (whole / "val").mkdir(parents=True)
    root.rename(whole / "val" / "pets")
    with pytest.raises(DataError, match="subsets and not classes, and none of them is a training"):
        read_folder(str(whole), None)
    (whole / "val" / "pets").rename(whole / "train")
    picture(whole / "val" / "owl" / "1.png")
    with pytest.raises(DataError, match=r"the val set has the class folder.*'owl'"):
        read_folder(str(whole), None)
    (whole / "labels").mkdir()
    with pytest.raises(DataError, match=r"holds subsets and beside them labels"):
        read_folder(str(whole), None)
    (whole / "labels").rename(whole / "validation")
    with pytest.raises(DataError, match="two subfolders for one subset"):
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
