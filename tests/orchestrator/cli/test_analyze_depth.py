"""``analyze depth``: what it prints for each kind of data, and what it refuses."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from orchestrator.analysis.depth_cap import BASIS
from orchestrator.cli import analysis_options
from trainers.data import DataConfig, load_data
from trainers.data.entropy import image_entropies

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "how-deep.md"
Call = Callable[..., Result]


def told(call: Call, *words: object) -> dict[str, object]:
    result = call("analyze", "depth", *words, "--format", "json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def mean_of(found: dict[str, object]) -> float:
    entropy = found["entropy"]
    assert isinstance(entropy, dict)
    return float(entropy["mean_nats"])


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 32, (40, 9, 9, 3), dtype=np.uint8)
    path = tmp_path / "photos.npz"
    np.savez(path, images=images, labels=np.arange(40) % 2, classes=np.array(["cat", "[dog]"]))
    return path


def test_the_mean_is_that_of_the_training_images(call: Call) -> None:
    found = told(call, "digits")
    images = load_data(DataConfig(name="digits")).train_images
    assert mean_of(found) == pytest.approx(image_entropies(images).mean())
    assert found["depth_cap"] == 2
    assert (found["height"], found["width"], found["channels"]) == (8, 8, 1)
    assert found["subset"] == "train"


def test_an_archive_a_folder_and_a_sweep_file_are_data_too(
    call: Call, archive: Path, tmp_path: Path
) -> None:
    assert told(call, archive)["data"] == "photos"
    with np.load(archive) as loaded:
        for number, (image, label) in enumerate(
            zip(loaded["images"], loaded["labels"], strict=True)
        ):
            folder = tmp_path / "pictures" / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number:02}.png")
    pictures = told(call, tmp_path / "pictures")
    assert mean_of(pictures) == pytest.approx(mean_of(told(call, archive)), rel=0.02)
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        "name: a\nbackbone: {name: digitnet, weights: bundled}\nseed: 3\n"
        "data: {npz: photos.npz, image_size: 6}\n"
        "space: {bits: {type: int, low: 2, high: 8}}\nobjectives: {accuracy: maximize}\n"
    )
    found = told(call, sweep)
    images = load_data(DataConfig(npz=str(archive), image_size=6, seed=3))
    assert found["fingerprint"] == images.fingerprint()
    assert found["width"] == 6
    assert told(call, sweep, "--image-size", 4)["width"] == 4


def test_every_part_of_the_conversion_is_an_option(call: Call) -> None:
    words = ("--unit", "bits", "--coefficient", 3, "--rounding", "floor", "--per", "total")
    found = told(call, "digits", *words)
    assert found["depth_cap"] == 8  # 3 x 2.761 bits
    assert found["conversion"] == {
        "unit": "bits",
        "coefficient": 3,
        "rounding": "floor",
        "scope": "total",
        "basis": BASIS,
        "formula": "floor(3 x 2.76133 bits)",
    }
    shown = call("analyze", "depth", "digits", *words).stdout
    assert "8 convolution layers in the whole network = floor(3 x 2.76133 bits)" in shown


@pytest.mark.parametrize("how", ["table", "json", "csv"])
def test_the_label_is_in_every_form(call: Call, how: str) -> None:
    assert BASIS in call("analyze", "depth", "digits", "--format", how).stdout


def test_csv_has_a_row_for_all_and_one_for_each_class(call: Call, archive: Path) -> None:
    printed = call("analyze", "depth", archive, "-f", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["class"] for row in rows] == ["", "cat", "[dog]"]
    found = told(call, archive)
    assert float(rows[0]["mean_nats"]) == mean_of(found)
    assert {row["depth_cap"] for row in rows} == {str(found["depth_cap"])}
    assert "[dog]" in call("analyze", "depth", archive).stdout


def test_an_entropy_depends_on_the_resolution_which_is_told(call: Call, archive: Path) -> None:
    own, small = told(call, archive), told(call, archive, "--image-size", 3)
    assert (own["width"], small["width"]) == (9, 3)
    assert mean_of(small) < mean_of(own)
    assert "3 x 3 pixels with 3 channels" in " ".join(
        call("analyze", "depth", archive, "--image-size", 3).stdout.split()
    )


def test_progress_is_told_when_it_takes_long_and_then_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    times = iter([0.0, 1.0, 2.5, 3.0, 5.0])
    tell = analysis_options.progress("images counted", clock=lambda: next(times))
    for done in (1_000, 2_000, 3_000):
        tell(done, 4_000)
    tell(4_000, 4_000)
    printed = capsys.readouterr()
    assert printed.err == "2,000 of 4,000 images counted\n"
    assert not printed.out


def test_what_is_odd_is_noted_beside_the_answer(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "binary.npz"
    images = np.random.default_rng(0).integers(0, 2, (20, 6, 6), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(20) % 2)
    result = call("analyze", "depth", path, "--format", "json")
    assert "Note: no pixel is above 1" in result.stderr
    (note,) = json.loads(result.stdout)["notes"]
    assert "no pixel is above 1" in note


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("digit",), "Did you mean 'digits'?"),
        (("digits", "--unit", "hartleys"), "hartleys"),
        (("digits", "--coefficient", "0"), "finite number above 0"),
        (("digits", "--coefficient", "nan"), "finite number above 0"),
        (("digits", "--image-size", "0"), "image-size"),
        (("digits", "--per", "block"), "block"),
        (("nowhere.yaml",), "nowhere.yaml"),
    ],
)
def test_a_wrong_word_is_told(call: Call, words: Sequence[str], told: str) -> None:
    result = call("analyze", "depth", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not result.stdout


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_normalised_images_are_refused_with_the_reason(
    call: Call, tmp_path: Path, kind: type
) -> None:
    path = tmp_path / "floats.npz"
    images = np.random.default_rng(0).normal(size=(20, 6, 6)).astype(kind)
    np.savez(path, images=images, labels=np.arange(20) % 2)
    result = call("analyze", "depth", path, "--format", "json")
    assert result.exit_code == 1
    assert "nearly every value is unique" in result.stderr
    assert str(path) in result.stderr
    assert not result.stdout


def test_a_float_picture_is_named(call: Call, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(4):
            pixels = np.full((4, 4), number / 4, dtype=np.float32)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.tiff")
    result = call("analyze", "depth", tmp_path)
    assert result.exit_code == 1
    assert "mode F" in result.stderr


def test_images_that_do_not_fit_into_memory_are_told(call: Call) -> None:
    result = call("analyze", "depth", "digits", "--image-size", 200_000)
    assert result.exit_code == 1
    assert "do not fit into memory" in result.stderr
    assert "smaller --image-size" in result.stderr


@pytest.mark.shared_data
def test_the_guide_shows_what_the_command_prints(
    call: Call, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (shared_data / "fashion_mnist").glob("*.gz"):
        shutil.copy(file, raw)
    (archive,) = (shared_data / "cifar10_lossless").glob("*.npz")
    (tmp_path / "cifar10.npz").symlink_to(archive)
    monkeypatch.setenv("PARETUNE_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```\n\$ paretune (analyze .*?)\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert {command.split()[2] for command, _ in blocks} >= {
        *("digits", "fashion_mnist", "cifar10.npz")
    }
    for command, shown in blocks:
        printed = call(*command.split()).stdout
        assert [line.rstrip() for line in printed.splitlines() if line.strip()] == [
            line.rstrip() for line in shown.splitlines() if line.strip()
        ]


def test_a_page_shows_the_entropies_by_class_and_how_it_was_made(
    call: Call, archive: Path, tmp_path: Path
) -> None:
    page = tmp_path / "depth.html"
    result = call("analyze", "depth", archive, "--to", page, "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["depth_cap"] == 4
    text = page.read_text()
    assert "Suggested cap: 4 convolution layers in each stage" in text
    assert BASIS in text
    assert '"upperfence"' in text  # the drawing's boxes
    # A class's name is text, in the table too.
    assert "<td>[dog]</td>" in text
    assert "paretune analyze depth photos.npz --unit nats --coefficient 1" in text
    assert str(tmp_path) not in text.partition("How this was made")[2]


def test_a_page_of_another_kind_is_refused_before_images_are_read(call: Call) -> None:
    result = call("analyze", "depth", "digits", "--to", "depth.pdf")
    assert result.exit_code == 2
    assert "ends in .html" in result.stderr
