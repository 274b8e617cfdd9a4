"""Paths of a file begin beside it, and those of an option in the working directory."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.spec.files import load_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.spec.conftest import GOOD


def test_paths_are_those_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sweeps"
    folder.mkdir()
    (folder / "own.yaml").write_text("bits: {type: int, low: 2, high: 8}")
    text = GOOD.replace("name: digits, limit: 300", "folder: ../images, root: ~/data")
    lines = text.replace("weights: scratch", "weights: w/net.safetensors").splitlines()
    path = folder / "sweep.yaml"
    path.write_text("\n".join([*lines[:3], "space: ./own.yaml", *lines[7:]]))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for where in (tmp_path, folder):
        monkeypatch.chdir(where)
        spec = load_sweep(path.relative_to(where))
        assert spec.data.folder == str(tmp_path / "images")
        assert spec.data.root == str(tmp_path / "home" / "data")
        assert spec.backbone.weights == str(folder / "w" / "net.safetensors")
        assert spec.search_space.names == ("bits",)


PATHS = """\
name: tiny
backbone: {name: digitnet, weights: a/net.pth}
data: {folder: a/images, root: a/root}
space: a/own.yaml
objectives: {accuracy: maximize}
store: sqlite:///a/s.db?timeout=3
execution: {cache: a/cache}
tracking: {uri: sqlite:///a/m.db}
warm_start: {sweep: old, store: sqlite:///a/o.db}
"""


def paths_of(spec: SweepSpec) -> list[str]:
    source = spec.warm_start
    assert source is not None
    found = [spec.backbone.weights, spec.data.folder or spec.data.npz, spec.data.root]
    found += [spec.store, spec.execution.cache, spec.tracking.uri]
    found += [source.store, source.csv, source.mlflow, source.optuna]
    return [each for each in found if each]


def test_every_path_of_a_file_begins_beside_it_and_every_path_of_an_option_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, here = tmp_path / "beside #1", tmp_path / "here"
    for folder in (beside, here):
        (folder / "a").mkdir(parents=True)
        (folder / "a" / "own.yaml").write_text("bits: {type: int, low: 2, high: 8}")
    (here / "a" / "own.yaml").write_text("bits: {type: int, low: 3, high: 4}")
    file = beside / "sweep.yaml"
    file.write_text(PATHS)
    monkeypatch.chdir(here)
    of_file = load_sweep("../beside #1/sweep.yaml")
    shown = paths_of(of_file)
    assert len(shown) == 7
    assert all(text.replace("%23", "#").count(f"{beside}/a/") == 1 for text in shown), shown
    assert of_file.store == f"sqlite:///{tmp_path}/beside %231/a/s.db?timeout=3"
    assert of_file.search_space.domains["bits"].high == 8
    settings = [
        *("backbone.weights=a/net.pth", "data.folder=a/images,data.root=a/root"),
        *("space=a/own.yaml", "store=sqlite:///a/s.db", "execution={cache: a/cache}"),
        *("tracking=sqlite:///a/m.db", "warm_start.store=sqlite:///a/o.db"),
    ]
    of_options = load_sweep(file, settings=settings)
    shown = paths_of(of_options)
    assert len(shown) == 7
    assert all(text.count(f"{here}/a/") == 1 for text in shown), shown
    assert of_options.search_space.domains["bits"].high == 4
    for source in ("{optuna: a/j.log}", "{optuna: sqlite:///a/o.db}", "a/t.csv",
                   "{mlflow: sqlite:///a/m.db, experiment: x}"):  # fmt: skip
        (_, last) = paths_of(load_sweep(file, warm_start=source))[-2:]
        assert f"{here}/a/" in last
        (last,) = paths_of(load_sweep(file, settings=[f"warm_start={source}"]))[-1:]
        assert f"{here}/a/" in last


def test_words_servers_and_absolute_paths_stay_as_they_are(write: Callable[..., Path]) -> None:
    path = write("{kind: none}", "{uri: 'http://h:5000'}")
    more = "store: postgresql+psycopg://h/d\nexecution: {cache: 's3://b/x'}\n"
    path.write_text(path.read_text() + more)
    spec = load_sweep(path)
    assert spec.tracking.uri == "http://h:5000"
    assert (spec.store, spec.execution.cache) == ("postgresql+psycopg://h/d", "s3://b/x")
    assert load_sweep(write()).store == "default"
    assert load_sweep(write(), settings=["store=sqlite:////x.db"]).store == "sqlite:////x.db"
