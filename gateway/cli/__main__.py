"""`python -m gateway.cli` is the same as `area4`."""

from __future__ import annotations

from gateway.cli.main import main

if __name__ == "__main__":
    main()
