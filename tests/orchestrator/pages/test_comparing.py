"""Trials side by side: what is read from their files, and what is said if a file is gone."""

import io
import shlex
import shutil
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from orchestrator.analysis.outcomes import NoAnswersError
from orchestrator.errors import OrchestratorError, UnknownNameError, UsageError
from orchestrator.pages.comparing import comparison, disputed_images
from orchestrator.pages.details import trial_page_record, ways_to_load
from orchestrator.pages.pictures import Pictures
from orchestrator.queries.sweeps import Sweep
from tests.orchestrator.pages.conftest import SPEC, Driver
from trainers.data import DataConfig, load_data
from trainers.files.predictions import labels_digest


@pytest.fixture
def sweep(driver: Driver) -> Sweep:
    return Sweep("digits-fc", driver.store)


def test_values_have_intervals_and_layers_add_up_to_the_file(sweep: Sweep) -> None:
    found = comparison(sweep, [0, 1])
    for trial in found["trials"]:
        low, high, images = trial["intervals"]["accuracy"]
        assert low < trial["values"]["accuracy"] < high
        assert images == 100
        artifact = sweep.trial(trial["trial"]).artifact
        assert sum(trial["layers"]["bytes"].values()) == artifact.bytes
        assert trial["layers"]["bits"] == {"head.0": 4}
        assert trial["layers"]["classes"] == ["zero", "one", "two"]
    assert found["notes"] == []


def test_answers_are_counted_by_class(sweep: Sweep) -> None:
    found = comparison(sweep, [0, 1])
    counts = np.array(found["confusion"]["1"]["counts"])
    assert counts.sum() == found["confusion"]["1"]["images"] == 100
    assert np.trace(counts) == 94
    # Trial 0 errs on the first 4 images, trial 1 on the first 6, in the same way.
    assert found["disagreements"] == 2
    disputed = disputed_images(sweep, [0, 1])
    assert [each["image"] for each in disputed["images"]] == [4, 5]
    assert disputed["images"][0] == {"image": 4, "label": 1, "answers": [1, 2]}


def test_what_is_lost_is_said_and_the_rest_compared(sweep: Sweep, driver: Driver) -> None:
    (driver.folder / "00001" / "predictions.npz").unlink()
    (driver.folder / "00002" / "model.safetensors").write_bytes(b"another")
    found = comparison(sweep, [0, 1, 2])
    assert set(found["confusion"]) == {"0"}
    assert found["disagreements"] is None
    notes = " ".join(found["notes"])
    assert "predictions.npz" in notes
    assert "trial 2 is not the one that was measured" in notes
    assert "not the one that was measured" in trial_page_record(sweep, 2)["trouble"]
    with pytest.raises(NoAnswersError):
        disputed_images(sweep, [0, 1])


def test_a_name_with_quotes_is_one_word_of_the_command_and_one_text_of_python(
    sweep: Sweep,
) -> None:
    ways = ways_to_load('it\'s $(rm -rf) "x"', sweep.trial(0))
    assert shlex.split(ways["shell"])[2] == 'it\'s $(rm -rf) "x"'
    compile(ways["python"], "page", "exec")


def test_a_folder_that_is_gone_leaves_the_record(sweep: Sweep, driver: Driver) -> None:
    shutil.rmtree(driver.folder / "00001")
    found = trial_page_record(sweep, 1)
    assert [each["name"] for each in found["files"]] == ["model.safetensors"]
    assert "is not at" in found["trouble"]


@pytest.mark.parametrize("numbers", [[1], [1, 1], [0, 1, 2, 3, 4, 5]])
def test_two_to_five_are_compared(sweep: Sweep, numbers: list[int]) -> None:
    with pytest.raises(UsageError, match="From 2 to 5"):
        comparison(sweep, numbers)


def test_a_trial_that_is_not_there_is_not_compared(sweep: Sweep) -> None:
    with pytest.raises(UnknownNameError, match="99"):
        comparison(sweep, [0, 99])


def test_the_pictures_are_those_of_the_sweeps_data(new_driver: Callable[..., Driver]) -> None:
    driver = new_driver("plain", {**SPEC, "space": {"bits": {"type": "int", "low": 2, "high": 8}}})
    pictures = Pictures(Sweep("plain", driver.store))
    data = load_data(DataConfig(name="digits"))
    assert pictures.labels_digest() == labels_digest(data.val_labels)
    assert pictures.classes() == data.classes
    with Image.open(io.BytesIO(pictures.png(3))) as picture:
        assert np.array_equal(np.asarray(picture)[::12, ::12], data.val_images[3][0])
    with pytest.raises(OrchestratorError, match="no validation image"):
        pictures.png(10**6)
