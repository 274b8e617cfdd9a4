"""Sweep files as people write them, most of them wrong."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.driver.preflight import check
from orchestrator.errors import UsageError
from orchestrator.spec.files import load_sweep, stored_sweep
from orchestrator.spec.sweep_spec import SweepSpec
from tests.orchestrator.spec.conftest import GOOD, assert_plain, problems

EXAMPLES = Path(__file__).parents[3] / "examples" / "sweeps"

# What is put in place of what; where the problem is said to be; what is said.
BAD = {
    "unknown key": ("budget:", "budgett:", 14, "Did you mean 'budget'?"),
    "unknown key below": ("epochs: 2", "epoch: 2", 8, "Did you mean 'epochs'?"),
    "unknown key of an objective": ("samples: 32", "sample: 32", 12, "Did you mean 'samples'?"),
    "missing key": ("name: tiny\n", "", 1, "'name' is missing"),
    "wrong type": ("epochs: 2", "epochs: two", 8, "'epochs' is 'two'"),
    "text for a number": ("trials: 4", "trials: '4'", 14, "'trials' is '4'"),
    "a flag for a number": ("trials: 4", "trials: true", 14, "'trials' is True"),
    "a list for a section": ("{kind: none}", "[none]", 15, "'tracking'"),
    "out of range": ("epochs: 2", "epochs: 0", 8, "an integer from 1 to 10000"),
    "too many replicates": ("budget:", "replicates: 9999999\nbudget:", 14, "1000"),
    "a seed no store holds": ("budget:", f"seed: {2**63 - 1}\nbudget:", 14, "'seed'"),
    "range upside down": ("low: 2, high: 8", "low: 8, high: 2", 6, "bits"),
    "range too wide": ("low: 2, high: 8", "low: 1, high: 8", 6, "from 2 to 8 or 32"),
    "choice without values": ("[8, 16]", "[]", 5, "fc_width_1"),
    "unknown backbone": ("digitnet", "digitnett", 2, "Did you mean 'digitnet'?"),
    "no bundled weights": ("digitnet, weights: scratch", "vgg16, weights: bundled", 2, "bundled"),
    "no imagenet weights": (", weights: scratch", "", 2, "imagenet weights of digitnet"),
    "unknown weights": ("weights: scratch", "weights: scatch", 2, "Did you mean 'scratch'?"),
    "a size it cannot see": ("weights: scratch", "image_size: 64", 2, "28 by 28"),
    "too small a size": ("digitnet, weights: scratch", "vgg16, image_size: 8", 2, "at least 32"),
    "unknown data": ("name: digits", "name: digit", 3, "Did you mean 'digits'?"),
    "unknown rule": ("name: digits", "name: digits, resize: squish", 3, "Did you mean 'squash'?"),
    "two sources of data": ("name: digits", "name: digits, folder: x", 3, "exactly one"),
    "fractions of more than all": ("limit: 300", "test_fraction: 0.9", 3, "leave nothing"),
    "unknown sampler": ("budget:", "sampler: {kind: tpee}\nbudget:", 14, "Did you mean 'tpe'?"),
    "unknown scheduler": ("budget:", "scheduler: {kind: fivo}\nbudget:", 14, "'fifo'"),
    "unknown tracker": ("kind: none", "kind: mlfow", 15, "Did you mean 'mlflow'?"),
    "unknown objective": ("  memory_bytes", "  memory_byte", 11, "Did you mean 'memory_bytes'?"),
    "odd objective": ("  robust_accuracy", "  robust_accuracy%", 12, "Unknown objective"),
    "unknown direction": ("maximize\n  memory", "maximise\n  memory", 10, "'maximize'?"),
    "attack on what has none": ("minimize", "{direction: minimize, steps: 3}", 9, "no attack"),
    "epsilon of no picture": ("8/255", "8", 12, "epsilon is 8"),
    "epsilon that is no number": ("8/255", "tiny", 12, "is not a quantity"),
    "unknown attack": ("fgsm", "fgm", 12, "Did you mean 'fgsm'?"),
    "no objectives": ("objectives:\n", "objectives: {}\nother:\n", 9, "objectives"),
    "unknown parameter": ("  dropout", "  dropuot", 7, "Did you mean 'dropout'?"),
    "condition on nothing": ("when: bits", "when: bitz", 7, "Did you mean 'bits'?"),
    "a condition that cannot hold": ("bits >= 4", "bits >= 9", 7, "can never hold"),
    "a condition that does not parse": ("bits >= 4", "'bits >='", 7, "does not parse"),
    "widths that are missing": ("  bits:", "  fc_layers: {type: int, low: 1, high: 3}\n  bits:",
                                6, "lacks fc_width_2, fc_width_3"),
    "a width without the one before": ("fc_width_1:", "fc_width_2:", 5, "lacks fc_width_1"),
    "a rule that is unknown": ("budget:", "head: {rule: pyramids}\nbudget:", 14, "full, pyramid"),
    "a rule and widths": ("budget:", "head: {rule: sqrt, widths: [8]}\nbudget:", 14, "(8,)"),
    "a fraction of nothing": ("budget:", "head: {fraction: 0.5}\nbudget:", 14, "leave it out"),
    "fraction without one": ("budget:", "head: {rule: fraction}\nbudget:", 14, "0.25 for"),
    "an unknown rule in the space": ("fc_width_1: {type: choice, values: [8, 16]}",
                                     "fc_rule: {type: choice, values: [pyramids]}",
                                     5, "fc_rule is 'pyramids'"),
    "widths beside a rule": ("  bits:", "  fc_rule: {type: choice, values: [sqrt]}\n  bits:",
                             5, "for fc_rule sqrt too"),
    "a rule without fraction": ("fc_width_1: {type: choice, values: [8, 16]}",
                                "fc_rule: {type: choice, values: [fraction]}",
                                5, "head.fraction"),
    "a rule without widths": ("fc_width_1: {type: choice, values: [8, 16]}",
                              "fc_rule: {type: choice, values: [explicit]}", 5, "head.widths"),
    "a fraction without a rule": ("fc_width_1: {type: choice, values: [8, 16]}",
                                  "fc_fraction: {type: choice, values: [0.5]}",
                                  5, "rule: fraction"),
    "constraint that does not parse": ("<= 200kB", "< 200kB", 13, "is not a constraint"),
    "constraint on the unknown": ("memory_bytes <=", "memory <=", 13, "'memory_bytes'?"),
    "constraint that nothing can meet": ("memory_bytes <= 200kB", "robust_accuracy_2 >= 0.1",
                                         13, "nothing measures robust_accuracy_2"),
    "a part of two GPUs": ("budget:", "resources: {gpus: 1.5}\nbudget:", 14, "whole GPUs"),
    "not a number": ("limit: 300", "val_fraction: .nan", 3, "val_fraction"),
    "a name that leaves the folder": ("name: tiny", "name: ../tiny", 1, "cannot name a sweep"),
    "duplicate key": ("name: tiny", "name: tiny\nname: other", 2, "given twice, first on line 1"),
    "duplicate key below": ("epochs: 2", "epochs: 2, epochs: 3", 8, "'epochs' is given twice"),
    "YAML that does not parse": ("training: {", "training: {{", 9, "does not parse"),
    "a tag": ("name: tiny", "name: !!python/object/apply:os.system [ls]", 1, "Tag"),
    "an alias of itself": ("name: tiny", "name: &a [*a]", 1, "its own anchor"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_named_with_its_line(write: Callable[..., Path], case: str) -> None:
    old, new, line, said = BAD[case]
    found = problems(write(old, new))
    about = [text for text in found if said in text]
    assert about, found
    assert about[0].startswith(f"sweep.yaml line {line}"), about
    assert all(len(text) < 1_000 for text in found)


RULES_IN_A_SPACE = {
    "with all that they need": (
        "fc_rule: {type: choice, values: [sqrt, fraction, explicit]}\n"
        "  fc_fraction: {type: choice, values: [0.5], when: fc_rule == 'fraction'}\n"
        "  fc_layers: {type: int, low: 1, high: 2, when: fc_rule == 'explicit'}\n"
        "  fc_width_1: {type: choice, values: [8], when: fc_rule == 'explicit'}\n"
        "  fc_width_2: {type: choice, values: [8], when: fc_layers >= 2}",
        "{}",
    ),
    "with fixed widths": ("fc_rule: {type: choice, values: [sqrt, explicit]}", "{widths: [4]}"),
    "with a fixed fraction": (
        "fc_rule: {type: choice, values: [sqrt, fraction]}",
        "{rule: fraction, fraction: 0.5}",
    ),
    "a fraction alone": (
        "fc_fraction: {type: float, low: 0.1, high: 1}",
        "{rule: fraction, fraction: 0.5}",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", RULES_IN_A_SPACE)
def test_every_corner_of_a_space_of_rules_is_a_head(write: Callable[..., Path], case: str) -> None:
    space, head = RULES_IN_A_SPACE[case]
    path = write("fc_width_1: {type: choice, values: [8, 16]}", space)
    text = path.read_text().replace("memory_bytes <= 200kB", "memory_bytes <= 1GB")
    path.write_text(text + f"head: {head}\n")
    report = check(load_sweep(path))
    assert report.problems == []
    assert "memory" in dict(report.lines)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(
    write: Callable[..., Path],
) -> None:
    path = write()
    text = path.read_text()
    for old, new in [
        ("digitnet", "digitnt"),
        ("name: digits", "name: digts"),
        ("bits: {type: int", "bitts: {type: int"),
        ("epochs: 2", "epochs: x"),
        ("trials: 4", "trils: 4"),
    ]:
        text = text.replace(old, new)
    path.write_text(text)
    found = problems(path)
    lines = [int(text.split()[2].rstrip(",:")) for text in found]
    assert lines == sorted(lines)
    assert {2, 3, 6, 7, 8, 14} <= set(lines)


def test_a_space_that_is_wrong_does_not_hide_what_else_is(write: Callable[..., Path]) -> None:
    path = write("low: 2, high: 8", "low: 8, high: 2")
    path.write_text(path.read_text().replace("epochs: 2", "epochs: x").replace("dropout", "drop"))
    found = "\n".join(problems(path))
    assert "line 6" in found
    assert "'epochs'" in found
    assert "'dropout'?" in found


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("fc_quantt", "Did you mean 'fc_quant'?"),
        ("no/such.yaml", "There is no file"),
        ("7", "needs a library name, a path, or a mapping"),
        ("[a]", "needs a library name, a path, or a mapping"),
        ("", "needs a library name, a path, or a mapping"),
        ("{}", "1 to 200 parameters"),
    ],
)
def test_a_space_that_is_no_space_is_refused(tmp_path: Path, space: str, said: str) -> None:
    lines = GOOD.splitlines()
    path = tmp_path / "sweep.yaml"
    path.write_text("\n".join([*lines[:3], f"space: {space}", *lines[7:]]))
    assert any(said in text for text in problems(path))


def test_a_mistake_in_a_space_of_its_own_file_names_that_file(tmp_path: Path) -> None:
    lines = GOOD.splitlines()
    path = tmp_path / "sweep.yaml"
    path.write_text("\n".join([*lines[:3], "space: spaces/own.yaml", *lines[7:]]))
    (tmp_path / "spaces").mkdir()
    own = tmp_path / "spaces" / "own.yaml"
    own.write_text("bits: {type: int, low: 2, high: 8}\nfc_width_1: {type: int, low: 9, high: 8}")
    (found,) = problems(path)
    assert found.startswith("own.yaml line 2")
    own.write_text("bits: {type: int, low: 2, high: 9}")
    (found,) = problems(path)
    assert found.startswith("sweep.yaml line 4, space: bits is 9")


def bomb() -> str:
    rungs = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(["a0: &a0 [lol]", *rungs])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bomb(), "more than 20,000 values"),
        ("x" * 50_000_000, "larger than 1,000,000 bytes"),
        ("[" * 5_000, "nested more than 40 levels"),
        ("", "is empty"),
        ("- a", "must be a mapping"),
        ("a: 1\n---\nb: 2", "second document"),
        ("name: \x00", "cannot stand in a YAML file"),
    ],
    ids=["alias bomb", "50 MB", "nested", "empty", "list", "two documents", "NUL"],
)
def test_a_hostile_file_is_refused_at_once(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(content)
    assert said in problems(path)[0]


def test_a_file_that_is_not_there_or_not_a_file_is_named(tmp_path: Path) -> None:
    assert "There is no file" in problems(tmp_path / "nosuch.yaml")[0]
    assert "not a regular file" in problems(tmp_path)[0]
    (tmp_path / "latin.yaml").write_bytes("name: größe".encode("latin-1"))
    assert "not UTF-8" in problems(tmp_path / "latin.yaml")[0]


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("case", ["unknown key", "YAML that does not parse", "unknown backbone"])
def test_the_command_exits_2_and_writes_nothing(
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    case: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARETUNE_HOME", raising=False)
    old, new, line, said = BAD[case]
    result = CliRunner().invoke(app, [command, str(write(old, new))])
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert f"line {line}" in result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


def test_check_reads_a_good_file_and_writes_nothing(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARETUNE_HOME", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    result = CliRunner().invoke(app, ["check", str(write())])
    assert result.exit_code == 0, result.output
    assert "10 classes" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


@pytest.mark.parametrize("name", ["a.pt", "a.pth.tar", "A.PTH", "a.SafeTensors"])
def test_a_file_with_weights_is_known_by_its_ending(write: Callable[..., Path], name: str) -> None:
    path = write("weights: scratch", f"weights: {name}")
    assert load_sweep(path).backbone.weights == str(path.parent / name)


@pytest.mark.parametrize(
    "extra",
    [
        "methods: {adversarial: pgd, adversarial_epsilon: 0.1}",
        "methods: {distillation: 0.5}",
        "pruning: {sparsity: 0.5}",
        "quantization: {bits: 4, rounding: gptq, calibration: {images: 64}}",
        "{space: {fc_width_1: {type: choice, values: [8]}},quantization: {allocation: {bits: 3}}}",
        "{backbone: {name: digitnet, weights: bundled, policy: none}, training: {tune: all}}",
        "measures: {loss: {direction: minimize, function: own:loss}}",
        "front_measures: {masked_gradient_signs: {samples: 8}}",
        "scheduler: moasha",
        "budget: {trials: 4, plateau: {trials: 2}}",
        "{claim: {keep: accuracy, margin: 2 points}, reference: true}",
        "resources: {cpus: 2, memory: 1GB, custom: {big: 1}}",
        "callbacks: own:Told",
    ],
)
def test_what_is_stored_of_a_sweep_can_be_resumed(write: Callable[..., Path], extra: str) -> None:
    path = write()
    (path.parent / "own.py").write_text(
        "def loss(network, images, labels):\n    return 0.0\n\n\nclass Told:\n    pass\n"
    )
    data = yaml.safe_load(path.read_text()) | yaml.safe_load(extra)
    if "loss" in data.get("measures", {}):
        data["objectives"]["loss"] = data.pop("measures")["loss"]
    path.write_text(yaml.safe_dump(data))
    spec = load_sweep(path)
    stored = json.loads(json.dumps(spec.model_dump(mode="json")))
    assert stored_sweep(spec.name, stored) == spec
    assert stored_sweep(spec.name, stored).fingerprint() == spec.fingerprint()


def test_every_example_is_a_sweep() -> None:
    specs = [load_sweep(path) for path in sorted(EXAMPLES.glob("*.yaml"))]
    assert len(specs) >= 1
    assert len({spec.name for spec in specs}) == len(specs)


@pytest.mark.parametrize("kind", ["tpe", "nsga2", "gp", "random", "grid"])
def test_every_sampler_of_a_file_can_be_built(write: Callable[..., Path], kind: str) -> None:
    from orchestrator.sampling import SAMPLERS, build_sampler

    assert kind in SAMPLERS
    settings = [f"sampler.kind={kind}", "space=smoke", f"seed={2**62 - 1}"]
    spec = load_sweep(write(), settings=settings)
    sampler = build_sampler(
        spec.sampler.kind, spec.search_space, spec.directed, spec.limits, spec.seed
    )
    assert sampler.suggest() is not None


_PLAIN: dict[str, Any] = yaml.safe_load(GOOD)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.sampled_from(["", "head", "tpe", "maximize", "1e3", "8/255", "../x", "a" * 200, "x.pth"]),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just([1, "a", None]),
    st.just({"type": "int", "low": 1, "high": 2}),
    st.just({"name": "digits"}),
).map(copy.deepcopy)  # the lists and mappings are changed by what is drawn next


def places(tree: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else []
    items = enumerate(tree) if isinstance(tree, list) else items
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """The good file with one to three things in it removed, replaced, added or renamed."""
    tree = copy.deepcopy(_PLAIN)
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(places(tree)[1:]))
        parent: Any = tree
        for key in above:
            parent = parent[key]
        action = draw(st.sampled_from(["remove", "replace", "add", "rename"]))
        if action == "remove":
            del parent[last]
        elif action == "replace":
            parent[last] = draw(_SCALARS)
        elif isinstance(parent, list):
            parent.append(draw(_SCALARS))
        else:
            known = ["weights", "folder", "npz", "root", "space", "store", "seed", "when", "type"]
            name = draw(st.sampled_from(known) | st.text(max_size=4))
            parent[name] = parent.pop(last) if action == "rename" else draw(_SCALARS)
        if len(places(tree)) == 1:
            break
    return tree


@pytest.mark.slow
@given(tree=mutated())
def test_any_file_is_a_spec_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    # JSON is YAML; written so, nothing depends on how a dumper quotes.
    path.write_text(json.dumps(tree))
    try:
        spec = load_sweep(path)
    except UsageError as error:
        assert_plain(str(error))
        return
    again = SweepSpec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json"))))
    assert again == spec
    assert spec.trial_config().epochs >= 1
