"""A package that follows the guide gives its parts names, and a sweep runs on them."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.doctor.installation import examine_parts
from orchestrator.errors import UsageError
from orchestrator.spec.files import load_sweep
from tests.docs.parts import SMALL
from trainers.doors import KINDS, shipped

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "ship-parts-in-a-package.md"
# In a process of its own: what parameters accept is read when they are imported.
RUN = """
import sys
import my_parts
from orchestrator.driver.running import run
from orchestrator.execution.inline import InlineExecutor
from orchestrator.queries.sweeps import open_sweep
from orchestrator.errors import UsageError
from orchestrator.spec.files import load_sweep

spec = load_sweep(sys.argv[1], settings=["tracking=none"])
assert spec.pruning.criterion == "my_parts:small_first"
assert (spec.sampler.kind, spec.scheduler.kind) == ("my_parts:halton", "my_parts:Never")
assert (spec.data.dataset, spec.callbacks) == ("my_parts:stripes", ["my_parts:Counter"])
assert spec.functions == {"weight": "my_parts:largest_weight"}
assert spec.attacks["robust_accuracy"].attack.startswith("my_parts:brighter#")
run(spec, executor=InlineExecutor)
states = [trial.state.value for trial in open_sweep(spec.name).trials()]
print(states, my_parts.Counter.ended)
"""


@pytest.fixture
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package of the guide, with the metadata that an installer writes."""
    points = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["entry-points"]
    assert points.keys() == {f"paretune.{kind}" for kind in KINDS}
    package = folder / "site-packages"
    metadata = package / "my_parts-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "my_parts.py").rename(package / "my_parts.py")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-parts\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in named.items())
            for group, named in points.items()
        )
    )
    monkeypatch.syspath_prepend(str(package))
    shipped.cache_clear()
    yield folder
    shipped.cache_clear()
    sys.modules.pop("my_parts", None)


@pytest.mark.slow
def test_names_of_a_package_stand_for_references_and_a_sweep_runs_on_them(installed: Path) -> None:
    path = os.pathsep.join([str(installed / "site-packages"), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-c", RUN, str(installed / "sweep.yaml")],
        env={**os.environ, "PYTHONPATH": path},
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == f"{['complete'] * 3} 3"


def test_the_doctor_lists_them_and_names_what_is_missing(installed: Path) -> None:
    (finding,) = examine_parts()
    assert finding.ok
    shown = "my-parts 1.0: attacks brighter, backbones tinynet, callbacks counter, "
    assert finding.detail.startswith(shown)
    assert shown in GUIDE.read_text()
    (installed / "site-packages" / "my_parts.py").unlink()
    sys.modules.pop("my_parts", None)
    findings = examine_parts()
    assert len(findings) == len(KINDS)
    assert not any(each.ok for each in findings)


def test_without_the_package_the_names_are_refused(folder: Path) -> None:
    shipped.cache_clear()
    text = (folder / "sweep.yaml").read_text()
    (folder / "sweep.yaml").write_text(text.replace("backbone: tinynet", "backbone: digitnet"))
    with pytest.raises(UsageError, match="small_first") as error:
        load_sweep(folder / "sweep.yaml", settings=SMALL[1:])
    for name in ("extremes", "brighter", "halton", "never", "stripes"):
        assert name in str(error.value), name
