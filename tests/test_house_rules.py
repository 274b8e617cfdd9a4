"""Rules of the house that no other tool checks; ruff and mypy have their own place in `make`."""

import ast
import importlib.util
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from orchestrator.quantities import QUANTITIES
from trainers.training.finetune import EpochReport

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("orchestrator", "trainers", "search_spaces")
FOLDERS = (*PACKAGES, "tests", "benchmarks", "examples", "docs")
MOST_LINES = 400
LONGEST_FUNCTION = 60
MOST_LINES_OF_PROMISES = 500  # a test module is a list, and is read like one

# In parts, so that this file does not hold what it forbids.
_MACHINE = re.compile(
    r"(?<![\w.~-])/(?:work|root|opt)/" + "|" + re.escape(str(REPOSITORY)) + r"\b"
)
_HOSTS = re.compile(
    "|".join(
        re.escape(first + second)
        for first, second in (
            ("pypi", ".org"),
            ("python", "hosted.org"),
            ("download.py", "torch.org/whl"),
            ("conda.", "anaconda"),
            ("registry", ".npmjs"),
            ("artifactory", "."),
            ("jfrog", ".io"),
            ("nexus", "."),
        )
    )
)
# Words that mark work that was left for later.
_LEFTOVERS = re.compile(
    r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b"
)

# What a docstring that names a thing, and does not say what the function does, begins with.
_NO_VERBS = re.compile(
    r"(?:The|A|An|Whether|What|How|Where|Why|Which|Who|One|All|Every|Names|Name of|Number|Values"
    r"|Seconds|Bytes|Nothing|Parameters|Trials|Epochs|Logits|Reports|Attempts|Something|It|In|Of"
    r"|By|For|At|This)\b|`"
)
# Functions that may begin otherwise, each as "path name".
KNOWN: frozenset[str] = frozenset()

# Where a public function may lack an example, by the reason: folders, files, or single functions.
NO_EXAMPLE = {
    "a command, which docs/reference/cli.md shows, or a part of one": ("orchestrator/cli/",),
    "part of a contract suite that pytest runs": ("orchestrator/testing/",),
    "needs an open database: orchestrator/testing/store_contract.py shows how it is used": (
        "orchestrator/storage/",
    ),
    "needs Ray, or a worker and its task": ("orchestrator/execution/",),
    "needs MLflow": ("orchestrator/tracking/",),
    "needs a Kubernetes cluster": ("orchestrator/jobs/kubernetes_api.py",),
    "runs or changes a sweep: docs/guides show it": (
        "orchestrator/driver/final_measures.py::add_final_measures",
        "orchestrator/driver/identity.py",
        "orchestrator/driver/lease.py",
        "orchestrator/driver/mirroring.py",
        "orchestrator/driver/preflight.py::check",
        "orchestrator/driver/run_result.py",
        "orchestrator/driver/running.py",
        "orchestrator/driver/signals.py::interrupted_by_signals",
        "orchestrator/driver/quick_checks.py",
        "orchestrator/driver/watch.py",
        "orchestrator/simulation/comparing.py::compare",
    ),
    "needs a store with a sweep and its trials": (
        "orchestrator/fronts/stored.py",
        "orchestrator/housekeeping/",
        "orchestrator/queries/differences.py::compare_sweeps",
        "orchestrator/queries/plotting.py",
        "orchestrator/queries/selection.py",
        "orchestrator/queries/trial_log.py",
        "orchestrator/queries/sweeps.py",
        "orchestrator/queries/trial_log.py",
        "orchestrator/reporting/",
        "orchestrator/sampling/optuna_studies.py::export_study",
    ),
    "compares what is stored beside the networks of several trials": (
        "orchestrator/analysis/comparison.py",
        "orchestrator/analysis/sizing_study.py",
        "orchestrator/analysis/verdict.py::reason_of",
    ),
    "needs a sweep and a browser: docs/guides/watch-and-choose.md shows it": (
        "orchestrator/pages/application.py",
        "orchestrator/pages/choosing.py",
        "orchestrator/pages/comparing.py",
        "orchestrator/pages/details.py::trial_page_record",
        "orchestrator/pages/drawing.py::plot_response",
        "orchestrator/pages/running.py::running_records",
        "orchestrator/pages/serving.py::serve",
    ),
    "returns what is to be looked at": ("orchestrator/plots/",),
    "depends on the machine": ("orchestrator/doctor/", "trainers/determinism.py::gpu_count"),
    "needs the moments of a layer's inputs: tests/trainers/quantization/rounding has some": (
        "trainers/quantization/rounding/",
    ),
    "trains a network, or measures a trained one": (
        "orchestrator/analysis/reuse_analysis.py::analyze_reuse",
        "orchestrator/analysis/sensitivity_analysis.py::analyze_sensitivity",
        "trainers/reuse/arms.py::accuracy",
        "trainers/reuse/arms.py::train",
        "trainers/heads/capacity.py::head_capacity",
        "trainers/heads/similarity.py::hidden_features",
        "trainers/heads/similarity.py::trained_head",
        "orchestrator/analysis/heads_analysis.py",
        "trainers/training/",
        "trainers/trial/",
    ),
    "imports what takes a second: an attack's library, onnxruntime, torch's compiler, sympy": (
        "trainers/evaluators/attacks.py",
        "trainers/evaluators/masking.py",
        "trainers/evaluators/robustness.py",
        "trainers/networks/backbones/digitnet.py::folded",
        "trainers/networks/backbones/matching.py::matched_widths",
        "trainers/onnx/",
        "trainers/reuse/sources.py::check_judged",
    ),
    "needs timm, an optional extra": (
        "trainers/networks/brought/timm_nets.py::timm_facts",
        "trainers/networks/brought/timm_nets.py::timm_features",
    ),
    "downloads": ("trainers/networks/backbones/torchvision_nets.py::imagenet_state",),
}


# Their promise is that a call returns; where it is broken, they hang.
_RETURNS = {
    "test_one_slot_waits_for_no_other",
    "test_the_wait_is_over_once_and_for_all_after_its_timeout",
}


def _modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _named(path: Path, line: int) -> str:
    return f"{path.relative_to(REPOSITORY)}:{line}"


def test_there_is_something_to_check() -> None:
    assert len(_modules(*PACKAGES)) > 50
    assert len(_modules("tests")) > 20


@pytest.mark.parametrize(
    ("folders", "most"),
    [
        ((*PACKAGES, "benchmarks", "examples", "docs"), MOST_LINES),
        (("tests",), MOST_LINES_OF_PROMISES),
    ],
)
def test_modules_are_short_enough_to_be_read(folders: tuple[str, ...], most: int) -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in _modules(*folders)}
    too_long = {str(path): count for path, count in lengths.items() if count > most}
    assert not too_long, f"Split by reason, at most {most} lines: {too_long}"


@pytest.mark.slow
def test_functions_are_short_enough_to_be_read() -> None:
    long = [
        f"{_named(path, node.lineno)} {node.name}: {lines}"
        for path in _modules(*PACKAGES)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    ]
    assert not long, f"Tell it in steps, at most {LONGEST_FUNCTION} lines each: {long}"


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        _named(path, 1)
        for path in _modules(*PACKAGES, "benchmarks", "examples", "docs")
        if not ast.get_docstring(_tree(path))
    ]
    assert not silent, f"Begin each with a docstring of one sentence: {silent}"


def test_public_functions_begin_with_a_verb() -> None:
    others = [
        f"{_named(path, function.lineno)} {function.name}: {docstring.splitlines()[0]}"
        for path in _modules(*PACKAGES)
        # There a docstring is the help of a command.
        if not path.is_relative_to(REPOSITORY / "orchestrator" / "cli")
        for function in _public_functions(_tree(path))
        if _NO_VERBS.match(docstring := ast.get_docstring(function) or "")
        and f"{path.relative_to(REPOSITORY)} {function.name}" not in KNOWN
    ]
    assert not others, f"Say what each does, beginning with a verb: {others}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('def f():\n    """The sum."""', True),
        ('def f():\n    """Name of it."""', True),
        ('async def f():\n    """Whether it is."""', True),
        ('class C:\n    def f(self):\n        """How many."""', True),
        ('def f():\n    """Return the sum."""', False),
        ('def f():\n    """Theorize."""', False),
        ('def f():\n    """Name what is known."""', False),
        ('def f():\n    """See `Other.f`."""', False),
        ('def f(x):\n    """`x` doubled."""', True),
        ('def _f():\n    """The sum."""', False),
        ('class _C:\n    def f(self):\n        """How many."""', False),
        ('class C:\n    def __len__(self):\n        """How many."""', False),
        ('class C:\n    @property\n    def f(self):\n        """How many."""', False),
        ('class C:\n    @functools.cached_property\n    def f(self):\n        """All."""', False),
        ('def f():\n    """Return."""\n    def g():\n        """The rest."""', False),
    ],
)
def test_what_begins_without_a_verb_is_found(source: str, found: bool) -> None:
    functions = _public_functions(ast.parse(source))
    docstrings = [ast.get_docstring(function) or "" for function in functions]
    assert any(map(_NO_VERBS.match, docstrings)) == found


def test_every_public_function_has_an_example_or_a_reason_why_not() -> None:
    lacking = {
        f"{path.relative_to(REPOSITORY).as_posix()}::{function.name}"
        for path in _modules(*PACKAGES)
        for function in _public_functions(_tree(path), methods=False)
        if ">>>" not in (ast.get_docstring(function) or "")
    }
    excused = [place for places in NO_EXAMPLE.values() for place in places]
    unexcused = sorted(name for name in lacking if not _is_within(name, excused))
    assert not unexcused, f"Add an example that takes no time, or a reason above: {unexcused}"
    needless = [place for place in excused if not any(_is_within(n, [place]) for n in lacking)]
    assert not needless, f"These have examples by now: {needless}"


def test_an_excuse_holds_for_whole_names_only() -> None:
    assert _is_within("trainers/onnx/export.py::traced", ["trainers/onnx/"])
    assert _is_within("trainers/onnx/export.py::traced", ["trainers/onnx/export.py"])
    assert _is_within("trainers/onnx/export.py::traced", ["trainers/onnx/export.py::traced"])
    assert not _is_within("trainers/onnx/export.py::traced", ["trainers/onnx/export.py::trace"])
    assert not _is_within("trainers/onnx/export.py::traced", [])


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "helpers", "common", "misc", "base", "manager", "core"}
    found = [str(path) for path in _modules(*PACKAGES) if path.stem in empty]
    assert not found, f"Name each after what it is for: {found}"


@pytest.mark.slow
def test_nothing_was_left_behind() -> None:
    left = [place for path in _modules(*FOLDERS) for place in _leftovers(path)]
    assert not left, f"Finish or remove: {left}"


def test_the_packages_print_nothing() -> None:
    calls = [
        _named(path, node.lineno)
        for path in _modules(*PACKAGES)
        for node in ast.walk(_tree(path))
        if _is_call_of(node, "print", "breakpoint")
    ]
    assert not calls, f"Log, or leave printing to the command line: {calls}"


@pytest.mark.slow
def test_every_test_can_fail() -> None:
    toothless = [
        f"{_named(path, test.lineno)} {test.name}"
        for path in [*_modules("tests"), *_modules("orchestrator/testing", "trainers/testing")]
        for test in _tests(_tree(path))
        if test.name not in _RETURNS and not _can_fail(test, _tree(path))
    ]
    assert not toothless, f"Assert something, or expect an error: {toothless}"


def test_packages_that_promise_types_have_their_marker() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    shipped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(shipped) == set(PACKAGES)
    for package in shipped:
        assert (REPOSITORY / package / "py.typed").is_file(), package


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in _modules(*PACKAGES)}
    lacking = [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]
    assert not lacking, f"Without __init__.py a wheel lacks them: {lacking}"


@pytest.mark.slow
def test_the_import_rules_hold() -> None:
    question = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    ended = subprocess.run(
        [sys.executable, "-c", question, "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    kept = re.search(r"Contracts: (\d+) kept, 0 broken", ended.stdout)
    assert kept
    assert int(kept[1]) >= 4


def test_the_picture_of_the_architecture_is_that_of_the_imports() -> None:
    path = REPOSITORY / "docs" / "make_architecture.py"
    spec = importlib.util.spec_from_file_location("make_architecture", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text() == module.picture(), "run: python docs/make_architecture.py"


@pytest.mark.slow
def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{_named(path, number)} {line.strip()[:80]}"
        for path in _tracked()
        for number, line in enumerate(_lines(path), start=1)
        if _MACHINE.search(line) or _HOSTS.search(line)
    ]
    assert not found, f"Others have other paths and other indexes: {found}"


def test_no_tracked_file_is_large() -> None:
    large = {str(path): path.stat().st_size for path in _tracked() if path.stat().st_size > 2**19}
    large = {name: size for name, size in large.items() if not name.endswith((".png", ".svg"))}
    assert not large, f"Data and weights do not belong into the repository: {large}"


def test_links_in_the_documents_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(REPOSITORY)}: {target}"
        for path in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert not broken


def test_prose_names_what_it_is_about() -> None:
    """ "The trial that ..." and "no trial", where a stranger would wonder who is meant."""
    prose = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]
    sources = _modules(*PACKAGES, "benchmarks", "examples", "docs")
    vague = [
        f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for path in [*prose, *sources]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\b(who(so)?ever|nobody|everybody)\b", line, re.I)
    ]
    assert not vague, f"Name the trial, process or person: {vague}"


def test_files_that_the_documents_name_exist() -> None:
    named = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`")
    gone = [
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]
        for name in named.findall(path.read_text())
        if not (REPOSITORY / name).exists()
    ]
    assert not gone


def test_every_measured_value_is_in_the_glossary() -> None:
    glossary = (REPOSITORY / "docs" / "glossary.md").read_text()
    rows = {
        name
        for row in re.findall(r"^\| (`[^|]+) \|", glossary, re.M)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert QUANTITIES.keys() <= rows
    source = (REPOSITORY / "trainers" / "trial" / "run.py").read_text()
    recorded = set(re.findall(r'"(\w+)": float\(|values\["(\w+)"\]', source))
    names = {first or second for first, second in recorded}
    assert {"memory_bytes", "macs", "eval_s"} <= names
    assert names <= rows
    for field in fields(EpochReport):
        assert field.name == "epoch" or field.name in rows, field.name


def _tracked() -> list[Path]:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    paths = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def _lines(path: Path) -> list[str]:
    content = path.read_bytes()
    return [] if b"\0" in content else content.decode(errors="replace").splitlines()


def _leftovers(path: Path) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT and _LEFTOVERS.search(token.string):
            yield _named(path, token.start[0])
    for node in ast.walk(_tree(path)):
        if _is_call_of(node, "breakpoint", "set_trace"):
            yield _named(path, node.lineno)


def _is_within(name: str, places: list[str]) -> bool:
    """Whether a function, as ``path::name``, is one of the places, or in one of them."""
    path = name.partition("::")[0]
    return any(
        place in (name, path) or (place.endswith("/") and path.startswith(place))
        for place in places
    )


def _public_functions(
    scope: ast.Module | ast.ClassDef, *, methods: bool = True
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Find functions, and methods of public classes, that are called as such: no properties."""
    for node in scope.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from _public_functions(node) if methods else ()
        elif not any("property" in ast.unparse(each) for each in node.decorator_list):
            yield node


def _is_call_of(node: ast.AST, *names: str) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    is_method = isinstance(node.func, ast.Attribute) and "print" in names
    return called in names and not is_method


def _tests(tree: ast.Module) -> list[ast.FunctionDef]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def _can_fail(function: ast.FunctionDef, tree: ast.Module) -> bool:
    """Whether a test asserts or expects an error, itself or through a function beside it."""
    if _asserts(function):
        return True
    beside = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    called = {
        getattr(node.func, "id", getattr(node.func, "attr", ""))
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
    }
    return any(_asserts(beside[name]) for name in called & beside.keys())


def _asserts(function: ast.FunctionDef) -> bool:
    # A command with check=True raises when it fails; `suppress` lets one error pass and no other.
    words = ("raises", "warns", "fail", "suppress")
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.keyword) and node.arg == "check" and _is_true(node.value))
        or (isinstance(node, ast.Name) and (node.id in words or node.id.startswith("assert_")))
        or (
            isinstance(node, ast.Attribute)
            and (node.attr in words or node.attr.startswith("assert_"))
        )
        for node in ast.walk(function)
    )


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True
