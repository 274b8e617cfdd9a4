"""``analyze``: the numbers of the seeds, and that the packed file keeps them."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.analysis.sizing_rules import size_heads
from orchestrator.cli import analyze
from orchestrator.cli.app import app
from trainers.artifact import write_artifact
from trainers.networks.backbone_table import backbone_info, backbone_names
from trainers.networks.network import build_network
from trainers.networks.sizing import RULES
from trainers.quantization import QuantizationConfig

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "size-the-head.md"
Call = Callable[..., Result]


def heads(call: Call, *words: object) -> dict[str, dict[str, object]]:
    result = call("analyze", "sizing", *words, "--format", "json")
    assert result.exit_code == 0, result.stderr
    return {record["rule"]: record for record in json.loads(result.stdout)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "full", "pyramid", "widths", "saved"),
    [
        ("alexnet", 54_575_114, 8_821_435, [947, 97], 0.838),
        ("vgg16", 119_586_826, 46_566_856, [1846, 136], 0.611),
    ],
)
def test_the_heads_for_digits_are_those_worked_out_by_hand(
    call: Call, backbone: str, full: int, pyramid: int, widths: Sequence[int], saved: float
) -> None:
    found = heads(call, backbone, "digits")
    assert found["full"]["head_params"] == full
    assert found["full"]["head_saving_fraction"] == 0
    assert found["pyramid"]["head_params"] == pyramid
    assert found["pyramid"]["widths"] == widths
    assert found["pyramid"]["head_saving_fraction"] == pytest.approx(saved, abs=5e-4)
    assert {name.split()[0] for name in found} == set(RULES) - {"explicit"}


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "fc_bits"), [(32, 32), (4, 32), (3, 5)])
def test_the_bytes_are_those_of_the_file(tmp_path: Path, bits: int, fc_bits: int) -> None:
    report = size_heads("digitnet", 7, bits=bits, fc_bits=fc_bits, widths=(9, 5, 3))
    for head in report.heads:
        network = build_network("digitnet", weights="scratch", widths=head.widths, classes=7)
        path = tmp_path / "network.safetensors"
        info = write_artifact(
            network,
            path,
            quantization=QuantizationConfig(bits=bits, fc_bits=fc_bits),
            classes=None,
        )
        assert (head.memory_bytes, head.head_bytes) == (info.bytes, info.head_bytes), head.rule
        assert head.head_params == sum(p.numel() for p in network.head.parameters())


def test_fractions_and_widths_of_ones_own_are_rows_too(call: Call) -> None:
    found = heads(
        call, "digitnet", "classes=3", "--fraction", 0.5, "--fraction", 0.1, "--widths", "9, 2"
    )
    assert found["fraction 0.5"]["widths"] == [128, 64]
    assert found["fraction 0.1"]["widths"] == [26, 13]
    assert found["explicit"]["widths"] == [9, 2]
    assert found["explicit"]["classes"] == 3


def test_fewer_bits_are_fewer_bytes_of_the_part_they_are_for(call: Call) -> None:
    plain, conv, fc = (
        heads(call, "digitnet", "digits", *words)["pyramid"]
        for words in ((), ("--bits", 4), ("--fc-bits", 4))
    )
    assert plain["head_bytes"] == conv["head_bytes"] > fc["head_bytes"]
    assert plain["memory_bytes"] > conv["memory_bytes"]


def test_csv_and_json_say_the_same(call: Call) -> None:
    rows = list(
        csv.DictReader(
            io.StringIO(call("analyze", "sizing", "digitnet", "digits", "-f", "csv").stdout)
        )
    )
    found = heads(call, "digitnet", "digits")
    assert [row["rule"] for row in rows] == list(found)
    for row in rows:
        assert json.loads(row["widths"]) == found[row["rule"]]["widths"]
        assert int(row["memory_bytes"]) == found[row["rule"]]["memory_bytes"]


@pytest.mark.slow
def test_a_synthetic_full_head_is_called_so(call: Call) -> None:
    pooled = call("analyze", "sizing", "resnet18", "classes=10")
    assert "its full head is synthetic: 512 and 256 wide" in " ".join(pooled.stdout.split())
    assert "synthetic" not in call("analyze", "sizing", "digitnet", "classes=10").stdout
    own = {name for name in backbone_names() if not backbone_info(name).has_synthetic_head}
    assert own >= {"digitnet", "alexnet", "vgg11", "vgg16", "vgg11_bn", "vgg16_bn"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("digitnt", "digits"), "Did you mean 'digitnet'?"),
        (("digitnet", "digit"), "Did you mean 'digits'?"),
        (("digitnet", "classes=1"), "at least 2"),
        (("digitnet", "classes=ten"), "whole number"),
        (("digitnet", "classes="), "whole number"),
        (("digitnet", "classes=2,3"), "one number"),
        (("digitnet", "digits", "--bits", "9"), "from 2 to 8 or 32"),
        (("digitnet", "digits", "--fc-bits", "1"), "from 2 to 8 or 32"),
        (("digitnet", "digits", "--fraction", "0"), "from 0.001 to 1"),
        (("digitnet", "digits", "--widths", "8,"), "whole number"),
        (("digitnet", "digits", "--widths", "8,8,8,8"), "widths"),
    ],
)
def test_a_wrong_word_is_told(call: Call, words: Sequence[str], told: str) -> None:
    result = call("analyze", "sizing", *words)
    assert result.exit_code == 2
    assert told in result.stderr
    assert not result.stdout


def test_an_empty_folder_is_told(call: Call, tmp_path: Path) -> None:
    result = call("analyze", "sizing", "digitnet", tmp_path)
    assert result.exit_code == 2
    assert "no class folders" in result.stderr


@pytest.mark.parametrize("command", analyze.app.registered_commands)
def test_every_analysis_has_help_with_an_example(command: object) -> None:
    name = getattr(command, "name", "")
    result = CliRunner().invoke(app, ["analyze", name, "--help"])
    assert result.exit_code == 0
    assert f"Example: paretune analyze {name}" in result.stdout


@pytest.mark.slow
def test_the_guide_shows_what_the_command_prints(call: Call) -> None:
    blocks = re.findall(r"```\n\$ paretune (analyze .*?)\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert blocks
    for command, shown in blocks:
        printed = call(*command.split()).stdout
        assert [line.rstrip() for line in printed.splitlines() if line.strip()] == [
            line.rstrip() for line in shown.splitlines() if line.strip()
        ]


@pytest.mark.slow
def test_the_power_in_the_guide_is_what_the_command_prints(call: Call) -> None:
    printed = call("analyze", "power").stdout
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()]
    assert len(lines) == 10
    assert "\n".join(["$ paretune analyze power", *lines]) in GUIDE.read_text(encoding="utf-8")


def test_power_is_asked_for_in_records_too(call: Call) -> None:
    words = ("--images", "629", "--seeds", "5", "--candidates", "8", "--margin", "3 points")
    (record,) = json.loads(call("analyze", "power", *words, "-f", "json").stdout)
    assert record["power"] == pytest.approx(0.9, abs=0.03)
    assert (record["candidates"], record["images"], record["seeds"]) == (8, 629, 5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--margin", "many"), "not a quantity"),
        (("--margin", "3"), "margin is 3"),
        (("--images", "x"), "whole number"),
    ],
)
def test_a_power_that_cannot_be_is_a_sentence(
    call: Call, words: tuple[str, ...], told: str
) -> None:
    result = call("analyze", "power", *words)
    assert result.exit_code == 2
    assert told in result.stderr
