"""``python -m batchml``."""

from __future__ import annotations

from batchml.cli.main import main

if __name__ == "__main__":
    main()
