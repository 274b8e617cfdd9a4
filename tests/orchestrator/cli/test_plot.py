"""``paretune plot`` on a real store."""

import shutil
from pathlib import Path

import pytest

from orchestrator.queries.plotting import PLOTS
from tests.browser import chromium
from tests.orchestrator.cli.conftest import Call


def test_without_a_kind_the_kinds_are_listed(call: Call) -> None:
    lines = call("plot", "digits-fc").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(PLOTS)


@pytest.mark.slow
def test_a_plot_is_one_page_that_needs_no_network(
    filled: Path, call: Call, tmp_path: Path
) -> None:
    file = tmp_path / "slice.html"
    result = call("plot", "digits-fc", "slice", "--objective", "memory_bytes", "--to", file)
    assert result.stdout == f"Wrote {file}\n"
    page = file.read_text(encoding="utf-8")
    assert "<title>memory ↓ over each parameter</title>" in page
    assert "src=" not in page.partition("<body>")[2].partition("<script>")[0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("slices",), "Did you mean 'slice'?"),
        (("slice", "--objective", "accurate"), "Did you mean 'accuracy'?"),
        (("slice", "--params", "bitz"), "Did you mean 'bits'?"),
        (("slice", "--to", "slice.gif"), ".html, .png, .svg or .pdf"),
        (("slice", "--to", "nowhere/slice.html"), "no folder nowhere"),
    ],
)
def test_wrong_use_exits_2_and_says_what_is_accepted(
    filled: Path, call: Call, words: tuple[str, ...], told: str
) -> None:
    result = call("plot", "digits-fc", *words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_what_a_sweep_cannot_show_yet_is_a_sentence(filled: Path, call: Call) -> None:
    result = call("plot", "digits-fc", "curves", "--trial", "99")
    assert (result.exit_code, "no trial 99" in result.stderr) == (1, True)
    assert not list(Path.cwd().glob("digits-fc-*.html"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF")]
)
def test_a_picture_is_drawn_from_the_same_figure(
    filled: Path, call: Call, tmp_path: Path, ending: str, magic: bytes
) -> None:
    pytest.importorskip("kaleido")
    if chromium() is None and shutil.which("chrome") is None:
        pytest.skip("needs a Chromium on the path: apt-get install chromium")
    file = tmp_path / f"front.{ending}"
    result = call("front", "digits-fc", "--plot", file)
    assert result.exit_code == 0, result.stderr
    assert file.read_bytes().startswith(magic)
