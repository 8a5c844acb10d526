"""What to type instead of a wrong key or value; every proposal is read and validated before it is shown."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator
from importlib import resources

from tinynet.config.sections import Config
from tinynet.config.values import RANGE, dotted_keys, field_of, is_allowed, kind_of, plain_name, typed_values
from tinynet.storage.reading import shown_path

ALL_KEYS = "'tinynet schema --markdown' lists all"
LIKE_ENOUGH = 0.6  # to say which key was meant
OTHER_NAMES = {  # what other libraries call it, without the section
    **dict.fromkeys(("alpha", "l2", "lambda", "wd"), "optimizer.weight_decay"),
    **dict.fromkeys(("lr", "eta", "eta0", "learning_rate_init", "step_size"), "optimizer.learning_rate"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "decay"), "optimizer.schedule"),
    **dict.fromkeys(("max_iter", "max_epochs", "num_epochs", "iterations", "steps"), "training.epochs"),
    **dict.fromkeys(("early_stopping", "n_iter_no_change"), "training.patience"),
    **dict.fromkeys(("hidden", "hidden_layer_sizes", "hidden_size", "layers", "units"), "network.hidden_units"),
    **dict.fromkeys(("activation_function", "nonlinearity"), "network.activation"),
    **dict.fromkeys(("batch", "bs", "minibatch", "batchsize"), "training.batch_size"),
    **dict.fromkeys(("random_state", "random_seed"), "seed"),
    **dict.fromkeys(("data", "file", "csv", "input"), "dataset.path"),
    **dict.fromkeys(("target", "y"), "dataset.label"),
}
ONE_OF_A_KIND = {  # what other libraries let one choose
    **dict.fromkeys(
        ("optimizer", "optimizer.name", "optimizer.type", "optimizer.method", "solver", "optim"),
        "SGD is the only optimizer, with momentum, nesterov and weight_decay;optimizer.momentum=0.9",
    ),
    **dict.fromkeys(
        ("loss", "training.loss", "network.loss", "criterion"),
        "softmax with cross-entropy is the only loss;optimizer.learning_rate=0.1",
    ),
    **dict.fromkeys(
        ("dropout", "network.dropout"), "there is no dropout, but weight decay;optimizer.weight_decay=0.0001"
    ),
    **dict.fromkeys(
        ("network.layers", "n_layers", "network.n_layers", "num_layers"),
        "the network has one hidden layer;network.hidden_units=50",
    ),
}


def preset_names() -> list[str]:
    """Return the names of the presets that tinynet brings along."""
    files = resources.files("tinynet.config").joinpath("presets").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def nearest_keys(key: str, allowed: Iterable[str] | None = None) -> list[tuple[float, str]]:
    """Return the three keys most like `key`, wherever they belong, each with its likeness from 0 to 1."""
    section, _, last = key.lower().replace("-", "_").rpartition(".")

    def likeness(name: str) -> tuple[float, bool]:
        known_section, _, known = name.rpartition(".")
        if name == OTHER_NAMES.get(last) or name.startswith(f"{key}."):
            return 1.0, True
        is_short_form = len(last) > 1 and last == "".join(word[0] for word in known.split("_"))
        ratio = difflib.SequenceMatcher(None, last, known).ratio()
        return is_short_form or ratio, section == known_section

    ranked = sorted(dotted_keys() if allowed is None else allowed, key=likeness, reverse=True)
    return [(likeness(name)[0], name) for name in ranked[:3]]


def nearest_key(key: str) -> str | None:
    """Return the dotted key that somebody who wrote `key` may have meant, or None."""
    ((ratio, best), *_) = nearest_keys(key)
    return best if ratio > LIKE_ENOUGH else None


def unknown_key(key: str) -> str:
    """Return the message for a key or a section that no config has."""
    sections = [name for name in Config.model_fields if "." not in key and name != key]
    near = dict.fromkeys(name for _, name in nearest_keys(key, [*sections, *dotted_keys()]))
    return f"unknown key {shown_path(key)}; nearest: {', '.join(near)} ({ALL_KEYS})"


def unknown_override(key: str, text: str, *, several: bool) -> str:
    """Return the message for KEY=VALUE with a key that no config has, and what to type."""
    if key.lower() in ONE_OF_A_KIND:
        about, _, word = ONE_OF_A_KIND[key.lower()].partition(";")
        return f"{key}: {about} ({ALL_KEYS}); write {word}"
    near = [name for _, name in nearest_keys(key)]
    message = f"unknown key {shown_path(key)}; nearest: {', '.join(near)} ({ALL_KEYS})"
    if len(text) > 1 and text.startswith("[") and nearest_key(key) == "network.hidden_units":
        message = f"{message}; the network has one hidden layer"
    return message + (proposal(meant, text, several=several) if (meant := nearest_key(key)) else "")


def proposal(key: str, text: str, *, several: bool = False) -> str:
    """Return "; write KEY=VALUE" with the allowed value nearest to `text`, ready for the shell; '' if there is none.

    `several` asks for more than one value where `text` has more than one, as a sweep needs them.
    """
    if (match := RANGE.fullmatch(text.strip())) and int(match[1]) > int(match[2]):
        text = f"{match[2]}..{match[1]}"
    parts = [part for part in re.split(r",|\.\.", text.strip(" []")) if part.strip()]
    if several and re.search(r",|\.\.", text) and not kind_of(key).is_list:
        found = list(dict.fromkeys(value for part in parts for value in _allowed(key, part)[:1]))
        value = ",".join((found + [one for one in _allowed(key, "") if one not in found])[: max(2, len(found))])
        value = text.strip() if _is_axis(key, text) else value
    else:
        value = next(iter(_allowed(key, text)), "")
    typed = shlex.quote(f"{key}={value}")
    return f"; write {typed}" if value and typed.isprintable() and len(typed) <= 160 else ""


def _allowed(key: str, text: str) -> list[str]:
    """Return the values that `text` may have meant, the likeliest first, then some that always work."""
    return [one for one in dict.fromkeys(_candidates(key, text)) if len(values := _read(key, one)) == 1 and values[0]]


def _is_axis(key: str, text: str) -> bool:
    found = _read(key, text)
    return len(found) > 1 and all(found)


def _read(key: str, text: str) -> list[bool]:
    """Return for every value that `text` gives whether it is allowed, nothing where it cannot be read."""
    try:
        values = typed_values(key, text)
    except ValueError:
        return []
    is_distinct = len({repr(value) for value in values}) == len(values)
    return [is_distinct and is_allowed(key, value) for value in values]


def _candidates(key: str, text: str) -> Iterator[str]:
    """Yield what `text` may have meant, and then what is right for the key."""
    kind, field = kind_of(key), field_of(key)
    bare = text.strip().strip("\"'").strip()
    yield from (text.strip(), bare)
    if bare.lower() in ("none", "nil", "unset") and field.default is None:
        yield "null"
    if bool in kind.types:
        yield "true" if bare.lower() in ("yes", "on", "y", "1") else "false"
        yield from ("true", "false")
    if kind.types & {int, float} and str not in kind.types:
        yield bare.replace(",", "" if int in kind.types else ".")
        if match := re.match(r"(\d+\.?\d*)\s*%", bare):
            yield f"{float(match[1]) / 100:g}"
        yield from re.findall(r"\d+\.?\d*(?:e-?\d+)?|\.\d+", bare)[:2]
    names = list(kind.choices or [name for name in field.examples or () if isinstance(name, str)])
    yield from (name for name in names if name in bare.lower())
    yield from difflib.get_close_matches(bare.lower(), names, cutoff=0.65)
    yield from (part.strip() for part in re.split(r",|\.\.", bare.strip("[]")))
    if key == "name":
        yield from (plain_name(bare), "run", "run-2")
    else:
        yield from (_text(value) for value in (field.default, *(field.examples or ())) if value is not None)
        yield from (*names, "0.5", "0.25", "1e-4", "5", "10")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
