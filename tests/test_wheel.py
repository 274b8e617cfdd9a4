"""The wheel and the sdist: what they hold, and that the wheel works where there is no repository.

Both are built here, or, for a release, lie in the folder that ``PARETUNE_DIST`` names.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("orchestrator", "trainers", "search_spaces")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
# One file of each kind that is no module, and that something breaks without.
DATA_FILES = (
    r"\w+/py\.typed",
    r"search_spaces/library/\w+\.yaml",
    r"orchestrator/.*\.html\.j2",
    r"orchestrator/plots/figure_page\.js",
    r"orchestrator/pages/static/\w+\.js",
    r"trainers/.*\.safetensors",
    r"orchestrator/.*/migrations/versions/\w+\.py",
)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one wheel and one sdist, the wheel built from the sdist."""
    if given := os.environ.get("PARETUNE_DIST"):
        return Path(given).resolve()
    folder = tmp_path_factory.mktemp("dist")
    # Without isolation: a build of its own would ask an index for hatchling.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    _run([*command, str(REPOSITORY)], folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, and this one's packages without the editable paretune."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder.parent)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], folder.parent)
    question = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(_run([str(python), "-c", question], folder.parent).strip())
    # Python does not read the .pth files of a folder that a .pth file names, so that the path
    # of the repository, which an editable installation leaves there, is not taken up.
    shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (own / "packages_of_the_tests.pth").write_text("\n".join(shared))
    return folder


def _run(command: list[str], folder: Path) -> str:
    """Standard output of a command in a folder, without the paths of this process."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COVERAGE", "PARETUNE", "VIRTUAL_ENV"))
    }
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _files_of_git() -> set[str]:
    """What git tracks, and what it would if it were added."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.split("\0") if (REPOSITORY / name).is_file()}


def _files_of(wheel: Path) -> set[str]:
    names = zipfile.ZipFile(wheel).namelist()
    return {name for name in names if ".dist-info/" not in name}


@pytest.mark.serial
def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    files = _files_of(wheel)
    for kind in DATA_FILES:
        assert any(re.fullmatch(kind, name) for name in files), kind
    assert files == {name for name in _files_of_git() if name.startswith(PACKAGES)}


@pytest.mark.serial
def test_the_sdist_holds_what_git_tracks(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == {*_files_of_git(), "PKG-INFO"}


@pytest.mark.serial
def test_the_metadata_is_valid_and_of_this_version(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith("/METADATA")]
        content = archive.read(name)
    metadata = Metadata.from_email(content)  # raises a group of errors where it is not valid
    assert (metadata.name, str(metadata.version)) == (PROJECT["name"], PROJECT["version"])
    assert str(metadata.requires_python) == PROJECT["requires-python"]
    assert metadata.license_expression == PROJECT["license"]
    assert message_from_bytes(content)["Description-Content-Type"] == "text/markdown"


@pytest.mark.serial
def test_where_there_is_no_repository_the_wheel_is_what_is_imported(elsewhere: Path) -> None:
    question = (
        f"import importlib\nfor name in {PACKAGES}: print(importlib.import_module(name).__file__)"
    )
    found = _run([str(elsewhere / "bin" / "python"), "-c", question], elsewhere.parent)
    assert len(found.splitlines()) == len(PACKAGES)
    for line in found.splitlines():
        assert Path(line).is_relative_to(elsewhere), line


@pytest.mark.serial
def test_where_there_is_no_repository_the_command_answers(elsewhere: Path, tmp_path: Path) -> None:
    paretune = str(elsewhere / "bin" / "paretune")
    assert "Usage" in _run([paretune, "--help"], tmp_path)
    assert _run([paretune, "--version"], tmp_path).split() == ["paretune", PROJECT["version"]]
    shutil.copy(REPOSITORY / "examples" / "sweeps" / "digits.yaml", tmp_path)
    _run([paretune, "check", "digits.yaml"], tmp_path)


@pytest.mark.serial
def test_where_there_is_no_repository_a_store_is_made_by_its_migrations(
    elsewhere: Path, tmp_path: Path
) -> None:
    program = (
        "from orchestrator.storage.opening import open_store, schema_version\n"
        "current, newest = schema_version(open_store().url)\n"
        "assert current == newest is not None\n"
    )
    _run([str(elsewhere / "bin" / "python"), "-c", program], tmp_path)
    paretune = str(elsewhere / "bin" / "paretune")
    assert json.loads(_run([paretune, "list", "--format", "json"], tmp_path)) == []


@pytest.mark.ray
@pytest.mark.serial
@pytest.mark.skipif("PARETUNE_DIST" not in os.environ, reason="a minute of `make release-check`")
def test_where_there_is_no_repository_a_sweep_runs_and_is_reported(
    elsewhere: Path, tmp_path: Path
) -> None:
    paretune, folder = str(elsewhere / "bin" / "paretune"), tmp_path
    shutil.copy(REPOSITORY / "examples" / "sweeps" / "digits.yaml", folder)
    _run([paretune, "run", "digits.yaml", "--name", "released", "--trials", "2"], folder)
    trials = json.loads(_run([paretune, "trials", "released", "--format", "json"], folder))
    assert [trial["state"] for trial in trials] == ["complete", "complete"]
    _run([paretune, "report", "released", "--to", "report.html"], folder)
    assert "released" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_every_import_is_of_a_declared_dependency() -> None:
    extras = {
        name: lines for name, lines in PROJECT["optional-dependencies"].items() if name != "dev"
    }
    lines = [*PROJECT["dependencies"], *(line for each in extras.values() for line in each)]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    known = packages_distributions()
    undeclared = [
        f"{path.relative_to(REPOSITORY)}: {name}"
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*.py")
        for name in _imported(path)
        if not declared & {canonicalize_name(each) for each in known.get(name, [name])}
    ]
    assert not undeclared


def _imported(path: Path) -> set[str]:
    """Packages of others that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    ours = {*PACKAGES, *sys.stdlib_module_names}
    # The contract suites are for those who have pytest; pydantic needs pydantic-core itself.
    allowed = {"pydantic_core", *(["pytest"] if path.parent.name == "testing" else [])}
    return names - ours - allowed
