"""Names, parameters and messages that look like markup are text, on the page and in the report."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orchestrator.pages.serving import access_at
from orchestrator.queries.plotting import PLOTS, plots_of
from orchestrator.queries.sweeps import Sweep
from orchestrator.reporting.report_page import Made, report_page
from tests.browser import Tab
from tests.orchestrator.pages.conftest import SPEC, Driver
from tests.orchestrator.pages.test_page import READY, heard, opened

pytestmark = pytest.mark.slow

SCRIPT = "<script>window.ran = 1</script>"
IMAGE = "\"'><img src=x onerror='window.ran = 2'>"
NAMES = (
    SCRIPT,
    IMAGE,
    "__proto__",
    "constructor",
    "javascript:window.ran=3//",
    "{{7*7}} ${window.ran=4}",
    "🦊 größe \u202e\u0000?\t\n",
    "x" * 10_000,
)


@pytest.mark.parametrize("kind", sorted(set(PLOTS) - {"front", "history", "parallel"}))
def test_nothing_runs_in_a_plot(
    hostile: Driver, serve: Callable[..., str], tab: Tab, kind: str
) -> None:
    tab.open(f"{serve(hostile.store, SCRIPT + IMAGE)}/plot/{kind}")
    tab.wait("document.querySelector('.js-plotly-plot .main-svg, p.refusal')")
    assert tab.run("window.ran") is None
    assert tab.run("document.querySelectorAll('main img').length") == 0
    assert tab.complaints() == [] or tab.run("Boolean(document.querySelector('p.refusal'))")


@pytest.fixture
def hostile(new_driver: Callable[..., Driver]) -> Driver:
    """A sweep in which everything that a person can write is hostile."""
    spec: Mapping[str, object] = {
        **SPEC,
        "space": {name: {} for name in NAMES},
        "constraints": ["accuracy >= 0.5"],
    }
    driver = new_driver(SCRIPT + IMAGE, spec)
    for number in range(2):
        params = {name: NAMES[(at + number) % len(NAMES)] for at, name in enumerate(NAMES)}
        driver.start(params, epochs=2)
        driver.complete(number, 0.9 - number / 10, 9_000 - number * 1_000)
    driver.fail(f"{SCRIPT} {IMAGE} {'x' * 10_000}")
    driver.start({NAMES[0]: NAMES[1]}, epochs=1)
    return driver


def test_nothing_runs_on_the_page(hostile: Driver, serve: Callable[..., str], tab: Tab) -> None:
    name = SCRIPT + IMAGE
    access = access_at("127.0.0.1", may_change=True)
    address = serve(hostile.store, name, access)
    opened(tab, address, f"?token={access.token}")
    tab.wait("document.querySelectorAll('.trials tbody tr').length === 4")
    assert SCRIPT in tab.text()
    for view, said in (
        ("#/trial/0", SCRIPT),
        ("#/trial/2", f"error: {SCRIPT}"),
        ("#/compare/0,1", "Parameters"),
    ):
        tab.run(f"location.hash = '{view}'")
        tab.wait(f"document.querySelector('main').innerText.includes({said!r})")
        assert tab.run("document.documentElement.scrollWidth <= innerWidth")
    tab.type("#note-0", f"{SCRIPT}{IMAGE}")
    tab.click(".choose button.primary")
    tab.wait("document.querySelector('.choose .badge.picked')")
    assert [choice.note for choice in hostile.store.choices(name)] == [f"{SCRIPT}{IMAGE}"]
    tab.run("location.hash = '#/'")
    tab.wait("document.querySelector('.chosen')")
    assert tab.run("window.ran") is None
    assert tab.run("document.querySelectorAll('main script, main img, header script').length") == 0
    heard(tab, address)


def test_nothing_runs_in_the_report(hostile: Driver, tab: Tab, tmp_path: Path) -> None:
    sweep = Sweep(SCRIPT + IMAGE, hostile.store)
    made = Made(command=f"paretune report {SCRIPT}")
    plots = plots_of(sweep, PLOTS)
    assert {"slice", "curves", "timeline", "layers", "importance"} & plots.keys()
    said = f"{SCRIPT}{IMAGE}"
    page = report_page(sweep.record, sweep.trials(), sweep.front(), said, made, plots)
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    tab.open(file.as_uri())
    tab.wait("document.querySelector('.js-plotly-plot svg')")
    tab.run("dispatchEvent(new Event('beforeprint'))")  # draws what is out of view, too
    count = "document.querySelectorAll('[data-figure]').length"
    tab.wait(f"document.querySelectorAll('.js-plotly-plot .main-svg').length >= {count}")
    assert SCRIPT in tab.text()
    assert tab.run("window.ran") is None
    assert tab.run("document.querySelectorAll('main img').length") == 0
    tab.resize(400, 900)
    tab.wait("document.documentElement.scrollWidth <= innerWidth")
    assert [url for url in tab.requested() if not url.startswith("file:")] == []


def test_a_hostile_condition_is_a_sentence(
    hostile: Driver, serve: Callable[..., str], tab: Tab
) -> None:
    tab.open(serve(hostile.store, SCRIPT + IMAGE))
    tab.wait(READY)
    tab.run(
        f"(() => {{ const field = document.querySelector('#where'); field.value = {IMAGE!r};"
        " document.querySelector('.filter button').click(); })()"
    )
    tab.wait("document.querySelector('#where-said.error')")
    assert tab.run("window.ran") is None
