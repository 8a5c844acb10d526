"""Coverage-guided input for a target of tests/fuzzing.py; needs ``pip install atheris``.

``python tests/fuzz_atheris.py TARGET -timeout=5 -rss_limit_mb=1024 -max_total_time=180``
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import warnings
from pathlib import Path


def main() -> None:
    """Let libFuzzer choose what hypothesis draws, so that every input fits the target."""
    import atheris  # not an extra, because it has wheels for few systems and Python versions

    with atheris.instrument_imports(include=["tinynet", "zipfile", "csv", "tomllib", "numpy.lib"]):
        import fuzzing

    name, *options = sys.argv[1:]
    os.chdir(tempfile.mkdtemp())
    target = fuzzing.TARGETS[name]()
    target.read(target.whole)
    warnings.simplefilter("error")
    warnings.simplefilter("default", DeprecationWarning)  # from hypothesis, which atheris has instrumented
    Path("corpus").mkdir()
    for number in range(100):  # hypothesis draws nothing from an input that is too short
        Path("corpus", str(number)).write_bytes(random.Random(number).randbytes(40 * number + 40))
    feed = fuzzing.fed(target, 1, deadline=None)
    arguments = [sys.argv[0], "-len_control=0", "-max_len=8192", *options, "corpus"]
    atheris.Setup(arguments, feed.hypothesis.fuzz_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
