"""Make report.png and plots.png from a page that ``paretune report NAME --to report.html`` wrote.

    python docs/images/make_report.py report.html

It needs a Chromium on the path, which it drives as the tests do, without a network.
"""

import sys
from pathlib import Path

from pictures import browser_tab, shot

from tests.browser import Tab

WIDTH, HEIGHT = 1000, 1250
_DRAWN_S = 2.0


def draw(tab: Tab, page: Path) -> None:
    """Draw the beginning of the report, and its plots of parameters in the dark."""
    tab.resize(WIDTH, HEIGHT)
    tab.open(page.resolve().as_uri())
    tab.wait("document.querySelector('.js-plotly-plot .main-svg')")
    shot(tab, "report.png", after_s=_DRAWN_S)
    tab.dark(is_dark=True)
    heading = (
        "[...document.querySelectorAll('h2')].find((h) => h.innerText.startsWith('Importance'))"
    )
    tab.run(f"{heading}.scrollIntoView()")
    tab.wait(f"{heading}.parentElement.querySelectorAll('.js-plotly-plot').length > 4")
    tab.run(f"{heading}.scrollIntoView()")
    shot(tab, "plots.png", after_s=_DRAWN_S)


if __name__ == "__main__":
    with browser_tab(__doc__, is_right=len(sys.argv) == 2) as opened:
        draw(opened, Path(sys.argv[1]))
