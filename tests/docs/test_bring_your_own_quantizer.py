"""A sweep that follows the guide to a quantizer packs with it, and any machine loads that."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import SweepSpec
from orchestrator.errors import SweepExistsError, UsageError
from orchestrator.spec.files import load_sweep
from tests.docs.parts import SMALL, changed, checked, contract_passes, ran
from trainers.artifact import load_artifact
from trainers.doors import load_reference

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "bring-your-own-quantizer.md"


def scheme(path: Path) -> str:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["paretune"])
    return str(facts["scheme"])


@pytest.mark.slow
def test_its_sweep_packs_levels_that_are_read_without_the_code(folder: Path) -> None:
    said, problems = checked(folder)
    assert problems == []
    (line,) = said
    assert line.replace(str(folder), "/home/me/project") in GUIDE.read_text()
    trials = ran(folder)
    assert len(trials) == 4
    path = next(folder.glob("home/**/model.safetensors"))
    assert scheme(path).startswith("my_quantizer:quantile#")
    state = load_artifact(path).state_dict()
    code = (
        "import sys, torch\nfrom trainers.artifact import load_artifact\n"
        "state = load_artifact(sys.argv[1]).state_dict()\n"
        "print(float(sum(v.double().sum() for v in state.values())))"
    )
    (folder / "my_quantizer.py").unlink()
    read = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert float(read.stdout) == float(sum(v.double().sum() for v in state.values()))


@pytest.mark.slow
def test_a_sweep_with_another_quantizer_is_refused(folder: Path) -> None:
    ran(folder, trials=1)
    changed(folder / "my_quantizer.py", "+ 0.5", "+ 0.4")
    with pytest.raises(
        SweepExistsError, match="other code of its quantizer, criterion or attacks"
    ):
        ran(folder, trials=2)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("values.mean(dim=1)", "levels of the shape (8,); 8 rows of 1 to 4 are needed."),
        ("values[:, :9]", "levels of the shape (8, 9); 8 rows of 1 to 4 are needed."),
        ("torch.tensor([[2.0, 1.0]]).expand(8, 2)", "levels that do not ascend: sort each row."),
        ("values[:, :2] / 0", "levels that are NaN or infinite."),
        ("[1.0]", "levels of the type float; a tensor is needed."),
        ("values.no_such", "raised AttributeError: 'Tensor' object has no attribute 'no_such'"),
        (
            "(values[:, :1].clamp(0, 0), values[:, :2])",
            "thresholds of the shape (8, 2); 8 rows of 0",
        ),
    ],
)
def test_check_says_which_promise_is_broken(folder: Path, answer: str, problem: str) -> None:
    code = f"import torch\n\n\ndef quantile(values, bits):\n    return {answer}\n"
    (folder / "my_quantizer.py").write_text(code)
    (said,) = checked(folder)[1]
    assert said.startswith("quantization.quantizer: my_quantizer:quantile#")
    assert problem in said


def test_the_function_itself_is_taken_from_python(folder: Path) -> None:
    named = load_sweep(folder / "sweep.yaml", settings=SMALL)
    function = load_reference(f"{folder / 'my_quantizer.py'}:quantile")
    given = named.model_dump(mode="json") | {"quantization": {"quantizer": function}}
    assert SweepSpec.model_validate(given).identity() == named.identity()


def test_code_beside_the_file_is_no_value_of_a_parameter(folder: Path) -> None:
    own = 'space.quantizer={type: choice, values: [kmeans, "my_quantizer:quantile"]}'
    with pytest.raises(UsageError, match="whose module is not installed"):
        load_sweep(folder / "sweep.yaml", settings=[own])


@pytest.mark.slow
def test_the_contract_of_the_guide_is_kept(folder: Path) -> None:
    assert contract_passes(folder, "test_my_quantizer.py")
    changed(folder / "my_quantizer.py", "return torch", "values += 1\n    return -torch")
    with pytest.raises(AssertionError, match="do not ascend"):
        contract_passes(folder, "test_my_quantizer.py")


@pytest.mark.slow
def test_it_goes_with_pruning_rounding_by_images_and_onnx(folder: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs paretune[onnx]")
    from trainers.onnx.export import export_onnx

    (trial,) = ran(folder, "pruning={sparsity: 0.5}", "quantization.rounding=gptq", trials=1)
    assert trial.values["sparsity"] > 0.4
    path = next(folder.glob("home/**/model.safetensors"))
    info = export_onnx(path, folder / "model.onnx")
    assert info.max_difference <= info.tolerance
