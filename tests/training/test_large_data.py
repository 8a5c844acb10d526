"""An uncompressed .npz larger than the allowed memory is trained on from its memory map."""

from __future__ import annotations

import re
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sweeping import TINYNET

N_FEATURES = 4096
ROWS_A_BLOCK = 4096


def write_images(path: Path, n_blocks: int) -> None:
    """Write X and y in float32 blocks of 64 MiB; each label brightens its own band of columns."""
    rng = np.random.default_rng(0)
    X, y = rng.random((ROWS_A_BLOCK, N_FEATURES), np.float32), np.arange(ROWS_A_BLOCK) % 4
    for label in range(4):
        X[y == label, label * 100 : label * 100 + 100] += 1
    labels = np.tile(y, n_blocks)
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(labels), N_FEATURES)}
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("X.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(n_blocks):
                file.write(X.data)
        with archive.open("y.npy", "w") as file:
            np.lib.format.write_array(file, labels)


def own_memory(process: subprocess.Popen[bytes]) -> int:
    """Return the bytes of the process's own memory, without pages of mapped files."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    return 1024 * int(found[1]) if found else 0


@pytest.mark.soak
@pytest.mark.usefixtures("in_an_empty_folder")
def test_a_table_larger_than_memory_can_be_trained_on() -> None:
    file = Path("images.npz")
    write_images(file, 64)
    words = ["dataset.validation_size=0.01", "network.hidden_units=4", "training.epochs=1", "training.batch_size=1000"]
    words += ["training.measure=during", "optimizer.learning_rate=0.01", "--out", "x", "--quiet"]
    peak = 0
    with subprocess.Popen([TINYNET, "train", str(file), *words]) as process:
        while process.poll() is None:
            peak = max(peak, own_memory(process))
            time.sleep(0.02)
    size = file.stat().st_size
    file.unlink()
    print(f"{size / 1e9:.2f} GB trained with {peak / 1e6:,.0f} MB of memory")
    assert process.returncode == 0
    assert 0 < peak < 2**30 and size >= 4 * 2**30
