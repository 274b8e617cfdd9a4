"""Notebooks that run: the example as it stands, and a run with Ray from a kernel's own tasks."""

import shutil
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "notebooks" / "first-look.ipynb"
SWEEP = REPOSITORY / "examples" / "sweeps" / "digits.yaml"
WITH_RAY = """
import asyncio
from orchestrator import load_sweep, run

few = ["training.epochs=1", "tracking=none", "sampler=random", "execution.max_slots=1"]
spec = load_sweep("digits.yaml", name="kernel", trials=2, settings=few)
here = run(spec, progress="auto")
spec = load_sweep("digits.yaml", name="thread", trials=2, settings=few)
there = await asyncio.to_thread(run, spec)
(here.complete, there.complete)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the sweep file, in which kernels keep their state."""
    pytest.importorskip("nbclient", reason="needs the extra dev")
    pytest.importorskip("ipykernel", reason="needs the extra dev")
    shutil.copy(SWEEP, tmp_path)
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return tmp_path


def executed(notebook: Any, folder: Path) -> Any:
    from nbclient import NotebookClient

    where = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where)
    return client.execute()


def outputs(notebook: Any, kind: str) -> list[str]:
    found = [each for cell in notebook.cells for each in cell.get("outputs", ())]
    return [str(each["data"][kind]) for each in found if kind in each.get("data", {})]


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_the_example_runs_and_shows_what_it_says(folder: Path) -> None:
    import nbformat

    done = executed(nbformat.read(EXAMPLE, 4), folder)
    tables = outputs(done, "text/html")
    assert any("12 complete in this run" in table for table in tables)
    assert any("Front of" in table and "<svg" in table for table in tables)
    assert len(outputs(done, "application/vnd.plotly.v1+json")) == 3


def test_the_example_is_kept_without_what_it_printed() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert '"output_type"' not in text
    assert '"execution_count": null' in text


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_a_run_works_in_a_kernel_and_in_a_thread_of_its_tasks(folder: Path) -> None:
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WITH_RAY)])
    assert "(2, 2)" in outputs(executed(notebook, folder), "text/plain")
