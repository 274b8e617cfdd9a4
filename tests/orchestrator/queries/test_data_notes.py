"""What `check` and `run` say of the images, and the report of the weights that have seen them."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.contracts import Prepared, Silent
from orchestrator.driver.preflight import check
from orchestrator.driver.running import run
from orchestrator.driver.tasks import task_of
from orchestrator.execution.preparation import found_out, prepare
from orchestrator.execution.task import Task
from orchestrator.queries.data_notes import data_notes, leaks, leaks_of_stored
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from trainers.data import load_data

SEEN = {"name": "fashion_mnist", "val_fraction": 0.3}


def make_spec(**changes: Any) -> SweepSpec:
    given: dict[str, Any] = {
        "name": "a",
        "backbone": {"name": "digitnet", "weights": "bundled"},
        "data": {"name": "digits", "limit": 200},
        "space": {"fc_width_1": {"type": "choice", "values": [8, 16]}},
        "objectives": {"accuracy": "maximize"},
        "budget": {"trials": 1},
        "tracking": {"kind": "none"},
    }
    return SweepSpec.model_validate({**given, **changes})


@pytest.fixture
def copied(tmp_path: Path) -> dict[str, str]:
    """Images of which one is twice there."""
    images = np.random.default_rng(0).integers(0, 256, (30, 10, 8), dtype=np.uint8)
    labels = np.arange(31) % 3
    path = tmp_path / "copied.npz"
    np.savez(path, images=np.concatenate([images, images[:1]]), labels=labels)
    return {"npz": str(path)}


def test_a_check_says_how_images_were_read(copied: dict[str, str]) -> None:
    lines = check(make_spec(data=copied)).lines
    notes = [text for label, text in lines if label == "note"]
    assert notes[0].startswith("images of 8 by 10 pixels become 8 by 8")
    assert notes[1].startswith("1 image(s) are copies of others")
    pixels = "8 by 8 (resize: crop), 1.98 kB in memory; digitnet sees 28 by 28"
    assert ("pixels", pixels) in lines


def test_a_run_says_the_same_before_its_first_trial(
    copied: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Exception):
        pass

    class Heard(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    class Prepares:
        name = "prepares"

        def __init__(self, task: Task) -> None:
            self._task = task

        def prepare(self) -> Any:
            return found_out(self._task, prepare(self._task))

        def run(self, source: Any) -> None:
            raise Stop

        def close(self) -> None:
            pass

        clock = staticmethod(lambda: 0.0)

    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "state"))
    store, heard = open_store(f"sqlite:///{tmp_path / 'a.db'}"), Heard()
    spec = make_spec(data=copied)
    with pytest.raises(Stop):
        run(spec, store=store, progress=heard, executor=Prepares)  # type: ignore[arg-type]
    store.close()
    assert heard.notes[1:3] == [text for label, text in check(spec).lines if label == "note"]


def test_weights_that_have_seen_the_images_are_warned_about(tmp_path: Path) -> None:
    spec = make_spec(data=SEEN)
    (warning,) = leaks(spec)
    assert "the bundled weights of digitnet were trained on fashion_mnist" in warning
    assert dict(check(spec).lines)["warning"] == warning
    assert data_notes(spec, None, None) == [f"warning: {warning}"]
    assert leaks_of_stored(spec.model_dump(mode="json")) == [warning]
    assert leaks(make_spec()) == leaks_of_stored({"a": "spec of another time"}) == []


def test_a_sweep_of_an_earlier_version_is_told_that_images_were_read_otherwise(
    tmp_path: Path,
) -> None:
    spec, prepared = make_spec(), Prepared(notes=("pictures of 2 sizes are brought to 28 by 28",))
    stored = spec.model_dump(mode="json")
    with closing(open_store(f"sqlite:///{tmp_path / 'a.db'}")) as store:
        store.create_sweep("a", stored, spec.fingerprint())
        assert data_notes(spec, prepared, store.sweep("a")) == list(prepared.notes)
        del stored["data"]["resize"]
        earlier = store.create_sweep("b", {**stored, "name": "b"}, spec.fingerprint())
        (_, warning) = data_notes(make_spec(name="b"), prepared, earlier)
        assert "'b' was begun by an earlier version" in warning
        assert data_notes(make_spec(name="b"), Prepared(), earlier) == []


def test_every_backbone_of_the_space_is_looked_at() -> None:
    space = {"backbone": {"type": "choice", "values": ["resnet18", "squeezenet1_1"]}}
    backbone = {"name": "resnet18", "weights": "imagenet"}
    assert len(leaks(make_spec(backbone=backbone, space=space, data={"name": "stl10"}))) == 2


def test_pictures_of_many_sizes_become_what_the_backbones_see(tmp_path: Path) -> None:
    def default_size(**changes: Any) -> int:
        return make_spec(**changes).data_config().default_size

    scratch = {"name": "efficientnet_b2", "weights": "scratch"}
    assert default_size() == 28
    assert default_size(backbone=scratch) == 288
    assert default_size(backbone={**scratch, "image_size": 96}) == 96
    space = {"backbone": {"type": "choice", "values": ["resnet18", "efficientnet_b1"]}}
    assert default_size(space=space) == 240
    task = task_of(make_spec(backbone=scratch), StateFolder(tmp_path))
    assert task.data.default_size == 288


def test_a_rule_is_chosen_by_name_and_is_no_part_of_older_sweeps(copied: dict[str, str]) -> None:
    spec = make_spec(data={**copied, "resize": "pad"})
    assert load_data(spec.data_config()).train_images.shape[1:] == (1, 10, 10)
    plain = make_spec(data=copied)
    assert "resize" not in plain.identity()["data"]
    assert spec.fingerprint() != plain.fingerprint()
    with pytest.raises(ValueError, match=r"resize is 'corp'; known are .* mean 'crop'"):
        make_spec(data={**copied, "resize": "corp"})
