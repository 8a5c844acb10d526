"""Completion in a real bash and a real zsh in a terminal: what Tab adds to the line."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tinynet.cli.completion import completion_script
from tinynet.cli.main import main

SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
PATIENCE_S = 60.0
TABS = {  # what is typed before Tab and Enter, and the words that the command receives
    "tra": ["train"],
    "train iri": ["train", "iris"],
    "sweep iris --qui": ["sweep", "iris", "--quiet"],
    "train iris network.act": ["train", "iris", "network.activation="],
    "train iris network.activation=rel": ["train", "iris", "network.activation=relu"],
    "check iris optimizer.nesterov=t": ["check", "iris", "optimizer.nesterov=true"],
    "train my": ["train", "my.toml"],
}


@contextmanager
def terminal(command: list[str], folder: Path) -> Iterator[int]:
    """Start a shell in a terminal, yield its reader and writer, and end it."""
    process, channel = pty.fork()
    if process == 0:
        os.chdir(folder)
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        os.execvpe(command[0], command, {"PATH": path, "TERM": "dumb", "PS1": "", "HOME": str(folder)})
    try:
        yield channel
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(channel)


def read_until(channel: int, pattern: str) -> str:
    """Return the output up to `pattern`."""
    text, end = "", time.monotonic() + PATIENCE_S
    while not re.search(pattern, text):
        ready, _, _ = select.select([channel], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"{pattern!r} did not come: {text!r}"
        text += os.read(channel, 4096).decode("utf-8", "replace")
    return text


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_commands_options_presets_keys_and_values(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which(shell) is None:
        assert "CI" not in os.environ
        pytest.skip(f"there is no {shell} here")
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert script == completion_script(shell)
    (tmp_path / "completion").write_text(script, encoding="utf-8")
    (tmp_path / "my.toml").touch()
    with terminal(SHELLS[shell], tmp_path) as channel:
        os.write(channel, b". ./completion; tinynet() { printf '<%s>' \"$@\"; echo; }; echo rea''dy\n")
        read_until(channel, "ready")
        for typed, words in TABS.items():
            os.write(channel, f"tinynet {typed}\t\n".encode())
            read_until(channel, re.escape("".join(f"<{word}>" for word in words)))
