"""Make front.png from a page that ``paretune front NAME --plot front.html`` wrote.

    python docs/images/make_front.py front.html

It needs a Chromium on the path, which it drives as the tests do, without a network.
"""

import sys
from pathlib import Path

from pictures import browser_tab, shot

from tests.browser import Tab

WIDTH, HEIGHT = 1000, 660
_DRAWN_S = 1.0


def draw(tab: Tab, page: Path) -> None:
    """Draw the page as it looks in a window, at twice that resolution, without its buttons."""
    tab.resize(WIDTH, HEIGHT, scale=2.0)
    tab.open(page.resolve().as_uri())
    tab.wait("document.querySelector('.js-plotly-plot .main-svg')")
    shot(tab, "front.png", after_s=_DRAWN_S)


if __name__ == "__main__":
    with browser_tab(__doc__, is_right=len(sys.argv) == 2) as opened:
        draw(opened, Path(sys.argv[1]))
