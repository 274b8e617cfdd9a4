"""The plots on the page: drawn in a frame, hostile names and all."""

from collections.abc import Callable

import pytest

from orchestrator.queries.plotting import PLOTS
from tests.browser import Tab
from tests.orchestrator.pages.conftest import Driver
from tests.orchestrator.pages.test_page import heard, opened

pytestmark = pytest.mark.slow


def test_a_plot_is_drawn_in_a_frame_that_reaches_nothing(
    driver: Driver, serve: Callable[..., str], tab: Tab
) -> None:
    address = serve(driver.store)
    opened(tab, address)
    offered = tab.run("[...document.querySelectorAll('[data-plot]')].map((b) => b.dataset.plot)")
    assert set(offered) == set(PLOTS) - {"front", "history", "parallel"}
    tab.click("[data-plot=slice]")
    frame = tab.wait("document.querySelector('.plot-frame:not([hidden])')?.src")
    assert frame == f"{address}/plot/slice?objective=accuracy"
    # What is in the frame is of another origin to the page.
    assert tab.run("document.querySelector('.plot-frame').contentDocument") is None
    tab.open(frame)
    tab.wait("document.querySelectorAll('.js-plotly-plot .subplot').length >= 3")
    # The drawing has no address of its own, and its policy lets it ask for nothing.
    assert tab.run("origin") == "null"
    assert tab.run("fetch('/api/board').then(() => 'let through', () => 'refused')") == "refused"


@pytest.mark.parametrize("kind", sorted(set(PLOTS) - {"front", "history", "parallel"}))
def test_every_plot_is_drawn_or_says_why_not(
    driver: Driver, serve: Callable[..., str], tab: Tab, kind: str
) -> None:
    address = serve(driver.store)
    tab.open(f"{address}/plot/{kind}")
    tab.wait("document.querySelector('.js-plotly-plot .main-svg, p.refusal')")
    if not tab.run("Boolean(document.querySelector('.js-plotly-plot'))"):
        assert kind == "epsilon"  # the sweep attacks nothing
        assert "attack" in tab.text()
        return
    heard(tab, address)
    tab.resize(400, 800)
    tab.wait("document.documentElement.scrollWidth <= 400")
