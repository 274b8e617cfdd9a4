"""Make page*.png from a page that ``paretune ui NAME`` serves.

    python docs/images/make_page.py http://127.0.0.1:5050/

It needs a Chromium on the path, which it drives as the tests do. The address has a token if the
page was started with ``--allow-changes``.
"""

import sys

from pictures import browser_tab, shot

from tests.browser import Tab

WIDE, NARROW, HEIGHT = 1280, 400, 900
_DRAWN_S = 1.0


def draw(tab: Tab, address: str) -> None:
    """Draw the first view, a comparison of the best three of the front, and a narrow dark view."""
    tab.resize(WIDE, HEIGHT)
    tab.open(address)
    tab.wait("document.querySelector('main')?.dataset.ready")
    # The column after box, number, front and state is the first objective.
    best = "(row) => -parseFloat(row.cells[4].innerText)"
    rows = f"[...document.querySelectorAll('tr.member')].sort((a, b) => ({best})(a) - ({best})(b))"
    found = tab.wait(f"{rows}.slice(0, 3).map((row) => row.querySelector('a').innerText)")
    shot(tab, "page.png", after_s=_DRAWN_S, whole=True)
    tab.resize(NARROW, HEIGHT)
    tab.dark(is_dark=True)
    shot(tab, "page-narrow.png", after_s=_DRAWN_S)
    tab.dark(is_dark=False)
    tab.resize(WIDE, HEIGHT)
    tab.run(f"location.hash = '#/compare/{','.join(found)}'")
    tab.wait("document.querySelector('main h1')")
    button = (
        "[...document.querySelectorAll('main button')].find((b) => b.innerText === 'Show them')"
    )
    if tab.run(f"Boolean({button})"):
        tab.run(f"{button}.click()")
        pictures = "[...document.querySelectorAll('.pictures img')]"
        tab.wait(f"{pictures}.length && {pictures}.every((each) => each.complete)")
    shot(tab, "page-compare.png", after_s=_DRAWN_S, whole=True)


if __name__ == "__main__":
    with browser_tab(__doc__, is_right=len(sys.argv) == 2) as opened:
        draw(opened, sys.argv[1])
