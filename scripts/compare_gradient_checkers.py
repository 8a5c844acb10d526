"""The same gradients, broken on purpose and right, through check_gradient, SciPy's, PyTorch's and JAX's checkers.

Prints the table of docs/gradient_check.md. The other libraries are optional: pip install -e ".[bench]".

    python scripts/compare_gradient_checkers.py
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Print the table."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    print(import_module("benchmarks.checkers").compare().markdown())


if __name__ == "__main__":
    main()
