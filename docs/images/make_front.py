"""Make front.png from a page that ``paretune front NAME --plot front.html`` wrote.

    python docs/images/make_front.py front.html

It needs a Chromium (``chromium`` or ``google-chrome`` on the path), which draws the page as any
reader's browser does, and draws it without a network.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTH, HEIGHT = 1000, 600
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def draw(page: Path, picture: Path) -> None:
    """Draw `page` as it looks in a window of 1000 x 600 pixels, at twice that resolution."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"None of {', '.join(BROWSERS)} is on the path; install Chromium.")
    with tempfile.TemporaryDirectory(prefix="paretune-image-") as folder:
        still = Path(folder) / "still.html"
        # The window's own frame takes from the height that the page fills, and a picture has no
        # buttons.
        text = page.read_text(encoding="utf-8").replace("height:100vh", f"height:{HEIGHT}px", 1)
        hidden = "<style>.modebar { display: none; }</style></head>"
        still.write_text(text.replace("</head>", hidden, 1), encoding="utf-8")
        subprocess.run(  # noqa: S603 - our own words
            [
                browser,
                *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--no-first-run", "--disable-background-networking"),
                *("--disable-component-update", "--disable-sync", "--disable-quic"),
                f"--user-data-dir={folder}",
                f"--window-size={WIDTH},{HEIGHT}",
                "--force-device-scale-factor=2",
                # Time is simulated: it passes as fast as the page is drawn.
                "--virtual-time-budget=10000",
                f"--screenshot={picture}",
                still.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    draw(Path(sys.argv[1]), Path(__file__).with_name("front.png"))
