"""Time tinynet's gradient against loops, JAX, PyTorch and backpropagation, on one core; `slopes` counts errors.

Prints the tables and writes PART.md and PART.png into the output folder. The other libraries are
optional: pip install -e ".[bench]" (install a CPU build of torch first, or it brings CUDA along).

    python scripts/benchmark_gradients.py --part gradients growth
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

TIMED = "gradients units growth profile memory training mnist_shaped startup sweep table thresholds"
PARTS = (*TIMED.split(), "slopes")  # the last for its errors


def main() -> None:
    """Measure the parts that were asked for, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=PARTS, help="what to measure (default: all)")
    parser.add_argument("--output", type=Path, default=Path("benchmark"), help="folder (default: benchmark)")
    parser.add_argument("--quick", action="store_true", help="small and rough, to see that everything works")
    arguments = parser.parse_args()
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--output {arguments.output}: {error.strerror}")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import_module("benchmarks.one_core").limit_to_one_core()
    save = import_module("benchmarks.report").save
    for part in arguments.part:
        report = import_module(f"benchmarks.{part}").measure(quick=arguments.quick)
        print(save(report, part, arguments.output), flush=True)


if __name__ == "__main__":
    main()
