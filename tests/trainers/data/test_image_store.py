"""Images that are too large for the memory: the same data, decoded once into a file."""

import logging
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.data import DataConfig, ImageData, load_data
from trainers.data.image_data import Images
from trainers.data.image_store import Decoded, ImageStore, Source
from trainers.data.mapped import MappedImages, mapped_of
from trainers.errors import DataError

COUNT, SIDE = 24, 16


@pytest.fixture
def images() -> Images:
    return np.random.default_rng(0).integers(0, 255, (COUNT, 3, SIDE, SIDE), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, images: Images) -> str:
    for number, image in enumerate(images):
        place = tmp_path / "pictures" / "ab"[number % 2] / f"{number:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(place)
    return str(tmp_path / "pictures")


@pytest.fixture
def npz(tmp_path: Path, images: Images) -> str:
    # Channels last, compressed, with a test set: all that a reader of rows must know.
    last = images.transpose(0, 2, 3, 1)
    arrays = {"x_train": last[:18], "x_test": last[18:]}
    labels = {"y_train": np.arange(18) % 2, "y_test": np.arange(6) % 2}
    np.savez_compressed(tmp_path / "images.npz", **arrays, **labels)
    return str(tmp_path / "images.npz")


@pytest.fixture
def dataset(tmp_path: Path, images: Images) -> str:
    np.save(tmp_path / "images.npy", images)
    file = tmp_path / "my_data.py"
    file.write_text(
        "from pathlib import Path\nimport numpy as np\n"
        "class Pairs:\n"
        "    images = np.load(Path(__file__).with_name('images.npy'), mmap_mode='r')\n"
        "    def __len__(self):\n        return len(self.images)\n"
        "    def __getitem__(self, index):\n        return self.images[index], index % 2\n"
        "def arrays():\n"
        "    return {'x': Pairs.images, 'y': np.arange(len(Pairs.images)) % 2}\n"
    )
    return str(file)


def config_of(source: str, place: str) -> DataConfig:
    if source == "folder":
        return DataConfig(folder=place, val_fraction=0.25)
    if source == "npz":
        return DataConfig(npz=place, val_fraction=0.25)
    return DataConfig(dataset=f"{place}:{source}", val_fraction=0.25)


@pytest.fixture(params=["folder", "npz", "Pairs", "arrays"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> DataConfig:
    fixture = {"Pairs": "dataset", "arrays": "dataset"}.get(request.param, request.param)
    place = request.getfixturevalue(fixture)
    return replace(config_of(request.param, place), images_folder=str(tmp_path / "store"))


def on_disk(config: DataConfig) -> DataConfig:
    return replace(config, in_memory=100)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"limit": 16},
        {"image_size": 8},
        pytest.param({"edges": "haar"}, marks=pytest.mark.filterwarnings("default")),
    ],
)
def test_images_on_the_disk_are_those_in_memory(
    config: DataConfig, changes: dict[str, object]
) -> None:
    if "edges" in changes:
        pytest.importorskip("pywt")
    config = replace(config, **changes)  # type: ignore[arg-type]
    here, there = load_data(config), load_data(on_disk(config))
    assert there.content() == here.content()
    assert there.fingerprint() == here.fingerprint()
    assert there.notes == here.notes
    for name in ("train", "val", "test"):
        (wanted, labels), (found, its) = here.subset(name), there.subset(name)
        assert mapped_of(found) is not None
        assert np.array_equal(np.asarray(found), wanted)
        assert np.array_equal(labels, its)


def test_a_set_is_decoded_once(folder: str, tmp_path: Path) -> None:
    config = on_disk(DataConfig(folder=folder, images_folder=str(tmp_path / "store")))
    first = load_data(config)
    file = mapped(first).file
    before = file.stat()
    assert load_data(config).content() == first.content()
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    # Another picture is another set.
    Image.new("RGB", (SIDE, SIDE), "red").save(Path(folder, "a", "00.png"))
    assert mapped(load_data(config)).file != file


def test_workers_get_the_place_of_the_images_and_not_the_images(
    folder: str, tmp_path: Path
) -> None:
    config = on_disk(DataConfig(folder=folder, images_folder=str(tmp_path / "store")))
    data = load_data(config)
    sent = pickle.dumps(data)
    assert len(sent) < data.train_images.nbytes
    arrived: ImageData = pickle.loads(sent)  # noqa: S301 - our own bytes
    assert np.array_equal(arrived.train_images[[3, 1]], data.train_images[[3, 1]])
    assert arrived.content() == data.content()


def mapped(data: ImageData) -> MappedImages:
    assert isinstance(data.train_images, MappedImages)
    return data.train_images


class Counted:
    """Counts the images that are decoded, and may be killed while it does so."""

    def __init__(self, images: Images, *, dies_at: int | None = None) -> None:
        self.decoded: list[int] = []
        self._images, self._dies_at = images, dies_at

    def source(self) -> Source:
        return Source("mine", "key", len(self._images), self._images.shape[1:], self)

    def __call__(self, first: int) -> Iterator[Decoded]:
        for number in range(first, len(self._images)):
            if number == self._dies_at:
                raise KeyboardInterrupt
            self.decoded.append(number)
            yield self._images[number], number


def test_a_decoding_that_was_stopped_goes_on(tmp_path: Path, images: Images) -> None:
    store = ImageStore(tmp_path, in_memory=0)
    with pytest.raises(KeyboardInterrupt):
        store.kept(Counted(images, dies_at=10).source())
    again = Counted(images)
    found, numbers = store.kept(again.source())
    assert again.decoded == list(range(10, COUNT))
    assert np.array_equal(np.asarray(found), images)
    assert numbers.tolist() == list(range(COUNT))


def damaged_byte(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(7 * 3 * SIDE * SIDE + 5)
        old = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([old[0] ^ 1]))


def short(file: Path) -> None:
    os.truncate(file, 7 * 3 * SIDE * SIDE + 5)


def without_records(file: Path) -> None:
    os.truncate(file.with_suffix(".records"), 7 * 24 + 3)


@pytest.mark.parametrize("damage", [damaged_byte, short, without_records])
def test_a_damaged_image_is_found_and_decoded_again(
    tmp_path: Path,
    images: Images,
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = ImageStore(tmp_path, in_memory=0)
    store.kept(Counted(images).source())
    damage(next(tmp_path.glob("*/images.u8")))
    again = Counted(images)
    with caplog.at_level(logging.WARNING):
        found, _ = store.kept(again.source())
    assert again.decoded == list(range(7, COUNT))
    assert np.array_equal(np.asarray(found), images)
    assert ("Image 7 in" in caplog.text) is (damage is damaged_byte)


def test_the_least_recently_used_set_makes_room(tmp_path: Path, images: Images) -> None:
    store = ImageStore(tmp_path, in_memory=0, on_disk=2.5 * images.nbytes)
    sources = [replace(Counted(images).source(), key=key) for key in "abc"]
    files = [mapped_file(store, source) for source in sources[:2]]
    for age, file in zip((9000, 8000), files, strict=True):
        os.utime(file.parent, (file.stat().st_mtime - age,) * 2)
    third = mapped_file(store, sources[2])
    assert [file.exists() for file in (*files, third)] == [False, True, True]


def mapped_file(store: ImageStore, source: Source) -> Path:
    found, _ = store.kept(source)
    assert isinstance(found, MappedImages)
    return found.file


def test_what_cannot_fit_is_refused_with_the_sizes(tmp_path: Path, images: Images) -> None:
    with pytest.raises(DataError, match=r"mine: the images take .* data\.on_disk allows"):
        ImageStore(tmp_path, 0, 1000).kept(Counted(images).source())
    store = ImageStore(tmp_path, in_memory=0, on_disk=1.5 * images.nbytes)
    store.kept(Counted(images).source())
    with pytest.raises(DataError, match=r"other sets that were used within the hour hold"):
        store.kept(replace(Counted(images).source(), key="another"))


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "my_data.py"
    file.write_text(
        "import numpy as np\nclass Bad:\n    def __len__(self): return 9\n"
        "    def __getitem__(self, i):\n"
        "        if i == 4: raise OSError('no such drive')\n"
        "        return np.full((3, 8, 8 + (i == 5)), i, np.uint8), i % 2\n"
        "class Other(Bad):\n"
        "    def __getitem__(self, i):\n"
        "        return np.full((3, 8, 8 + (i == 5)), i, np.uint8), i % 2\n"
    )
    store = str(tmp_path / "store")
    for name, told in (
        ("Bad", "image 4 could not be read: OSError: no such drive"),
        ("Other", "image 5 has the shape"),
    ):
        with pytest.raises(DataError, match=told):
            load_data(DataConfig(dataset=f"{file}:{name}", in_memory=0, images_folder=store))


def test_a_process_is_not_charged_with_the_whole_file(tmp_path: Path) -> None:
    side, count = 256, 512  # 100 MB
    source = Source("mine", "k", count, (3, side, side), lambda first: plain(first, count, side))
    images, _ = ImageStore(tmp_path, in_memory=0).kept(source)
    before = resident_bytes()
    for block in np.split(np.random.default_rng(0).permutation(count), 64):
        images[block]
    assert resident_bytes() - before < 60e6


def plain(first: int, count: int, side: int) -> Iterator[Decoded]:
    return (
        (np.full((3, side, side), number % 256, np.uint8), 0) for number in range(first, count)
    )


def resident_bytes() -> int:
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("there is no /proc here")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
