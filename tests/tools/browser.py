"""A real browser without a display: what a page looks like, and what its document is once its script has run."""

import subprocess
import tempfile
from pathlib import Path

PROGRAM = "chromium"
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--hide-scrollbars", "--virtual-time-budget=2000"),
)
SECONDS = 90
"""A loaded computer may take long to start a browser."""


def dom(page: Path, fragment: str = "") -> str:
    """The document after its script ran, as HTML."""
    return _run(page, fragment, "--dump-dom")


def screenshot(page: Path, image: Path, width: int = 1280, height: int = 900, fragment: str = "") -> None:
    """The upper part of a page as PNG."""
    _run(page, fragment, f"--window-size={width},{height}", f"--screenshot={image}")


def paper(page: Path, pdf: Path) -> None:
    """The page as it is printed."""
    _run(page, "", "--no-pdf-header-footer", f"--print-to-pdf={pdf}")


def _run(page: Path, fragment: str, *flags: str) -> str:
    with tempfile.TemporaryDirectory(prefix="area4-browser-", ignore_cleanup_errors=True) as profile:
        done = subprocess.run(
            [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", *flags, f"{page.absolute().as_uri()}{fragment}"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    return done.stdout
