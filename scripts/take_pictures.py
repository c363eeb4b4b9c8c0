"""Take the pictures of the documentation: run the demo, photograph its report. `python scripts/take_pictures.py [RUN]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
BROWSER = "/usr/bin/chromium"


def main() -> None:
    """`RUN` is a finished run; without it the demo makes one."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    target = HOME / "docs" / "pictures" / "report.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        run = Path(sys.argv[1]) if len(sys.argv) > 1 else demo(Path(folder) / "run")
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.goto((run / "report.html").resolve().as_uri())
        page.wait_for_timeout(500)
        page.screenshot(path=str(target))
        browser.close()
    with Image.open(target) as picture:  # few colours: a report is ink on paper, and a small file
        picture.convert("RGB").quantize(128).save(target, optimize=True)
    print(f"{target.relative_to(HOME)}: {target.stat().st_size / 1e3:.0f} kB")


def demo(run: Path) -> Path:
    """The demo's run folder."""
    from omma.verbs.demo import demo as tour

    tour(out=str(run))
    return run


if __name__ == "__main__":
    main()
