"""The KEY=VALUE words of a command line: what they set, and what to type instead of those that are wrong."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from tinynet.config.hints import allowed_values, nearest_key, preset_names, proposal, unknown_override
from tinynet.config.values import dotted_keys, kind_of, typed_values
from tinynet.storage.messages import shown_path


def read_overrides(words: Iterable[str], source: str, *, several: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Return the value of every key that `words` set, and a fault for each word that sets none.

    Parameters
    ----------
    words : iterable of str, KEY=VALUE
    source : str, the preset or file they belong to
    several : bool, for a sweep: return a list of values for every key
    """
    words, found, faults = _joined(list(words)), dict[str, Any](), list[str]()
    known, seen = set(dotted_keys()), set[str]()
    for word in words:
        key, equals, text = word.partition("=")
        key = key.strip()
        if not equals or not key:
            faults.append(f"command line: {shown_path(word)}: {_no_override(word)}")
        elif key in seen:
            faults.append(f"command line: {shown_path(key)}: given twice")
        elif key not in known:
            hint = _sweep_hint(nearest_key(key) or "", text, source, [one for one in words if one != word])
            message = unknown_override(key, text, several=several)
            faults.append(
                f"command line: {message.partition('; write ')[0] + hint if hint and not several else message}"
            )
        else:
            try:
                values = typed_values(key, text)
                if len(values) > 1 and not several:
                    hint = _sweep_hint(key, text, source, [one for one in words if one != word])
                    raise ValueError(f"{len(values)} values, and one run has one{hint or proposal(key, text)}")
                found[key] = values if several else values[0]
            except ValueError as error:
                hint = "" if "; " in str(error) else proposal(key, text, several=several)
                faults.append(f"command line: {key}: {error}{hint}")
        seen.add(key)
    return found, faults


def _joined(words: list[str]) -> list[str]:
    """Rejoin KEY = VALUE that the shell split at spaces."""
    joined: list[str] = []
    for word in words:
        before = joined[-1] if joined else ""
        is_open = before.endswith("=") and before.rstrip("= ") in dotted_keys() and "=" not in word
        is_rest = word.startswith("=") and before in dotted_keys()
        joined = [*joined[:-1], before + word] if is_open or is_rest else [*joined, word]
    return joined


def _no_override(word: str) -> str:
    if word in preset_names() or word.endswith((".toml", ".json")):
        return "a second CONFIG, and a command takes one"
    name, _, text = word.strip("= -~").partition(":")
    if word.startswith("~"):
        text = "null"
    return f"a setting is KEY=VALUE in one word{proposal(nearest_key(name) or 'seed', text)}"


def _sweep_hint(key: str, text: str, source: str, others: list[str]) -> str:
    """Return "; to train one run per value: tinynet sweep ..." where `text` has several values allowed for `key`."""
    if key not in dotted_keys() or len(allowed_values(key, text)) < 2:
        return ""
    text = text.strip() if kind_of(key).is_list else text.strip().removeprefix("[").removesuffix("]")
    command = shlex.join(["tinynet", "sweep", source, *others, f"{key}={text}"])
    return f"; to train one run per value: {command}" if command.isprintable() and len(command) < 400 else ""
