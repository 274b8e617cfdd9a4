"""axe-core, which npm fetches for the test run, finds no serious fault on page and report."""

import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.pages.serving import access_at
from orchestrator.queries.plotting import PLOTS, plots_of
from orchestrator.queries.sweeps import Sweep
from orchestrator.reporting.report_page import Made, report_page
from tests.browser import Tab
from tests.orchestrator.pages.conftest import Driver
from tests.orchestrator.pages.test_page import opened

pytestmark = pytest.mark.slow

VERSION = "4"
FAULTS = """axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations
  .filter((each) => ['serious', 'critical'].includes(each.impact))
  .map((each) => [each.id, each.help, each.nodes.slice(0, 5).map((node) => [
    node.html.slice(0, 200), node.any.concat(node.all).map((check) => check.message).join(' ')
  ])]))"""


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm, which fetches axe-core: apt-get install npm")
    folder = tmp_path_factory.mktemp("axe")
    fetched = subprocess.run(
        [npm, "pack", f"axe-core@{VERSION}", "--silent"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    packed = next(folder.glob("axe-core-*.tgz"), None)
    if packed is None:
        pytest.skip(f"npm cannot fetch axe-core: {fetched.stderr.strip()[-200:]}")
    with tarfile.open(packed) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def faults(tab: Tab, axe: str) -> object:
    tab.run(f"{axe}; 0")
    return tab.run(FAULTS)


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_the_page_has_no_serious_fault(
    driver: Driver, serve: Callable[..., str], tab: Tab, axe: str, *, is_dark: bool
) -> None:
    access = access_at("127.0.0.1", may_change=True)
    address = serve(driver.store, access=access)
    tab.dark(is_dark=is_dark)
    opened(tab, address, f"?token={access.token}")
    tab.wait("document.querySelector('.trials tbody tr')")
    tab.run("document.querySelector(\"input[aria-label='Select trial 1']\").click()")
    assert faults(tab, axe) == []
    for view in ("#/trial/1", "#/compare/0,1,2", "#/trial/5"):
        tab.run(f"location.hash = '{view}'")
        tab.wait("document.querySelector('main h1')")
        assert tab.run(FAULTS) == []


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_the_report_has_no_serious_fault(
    driver: Driver, tab: Tab, axe: str, tmp_path: Path, *, is_dark: bool
) -> None:
    tab.dark(is_dark=is_dark)
    sweep = Sweep("digits-fc", driver.store)
    made = Made(command="paretune report digits-fc")
    plots = plots_of(sweep, PLOTS)
    said = "There is no study."
    page = report_page(sweep.record, sweep.trials(), sweep.front(), said, made, plots)
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    tab.open(file.as_uri())
    tab.wait("document.querySelector('.js-plotly-plot svg')")
    tab.run("dispatchEvent(new Event('beforeprint'))")  # draws what is out of view, too
    count = "document.querySelectorAll('[data-figure]').length"
    tab.wait(f"document.querySelectorAll('.js-plotly-plot .main-svg').length >= {count}")
    assert faults(tab, axe) == []
