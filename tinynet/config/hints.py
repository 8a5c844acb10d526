"""What to type instead of a wrong key or value; every proposal is read and validated before it is shown."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import Any

from tinynet.config.values import RANGE, dotted_keys, field_of, is_allowed, kind_of, plain_name, typed_values
from tinynet.storage.messages import shown_path

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
ABSENT = (  # what other libraries let one choose: its names there, what tinynet has, and what to type
    (
        ("optimizer", "optimizer.name", "optimizer.type", "optimizer.method", "solver", "optim"),
        "SGD is the only optimizer, with momentum, nesterov and weight_decay",
        "optimizer.momentum=0.9",
    ),
    (
        ("loss", "training.loss", "network.loss", "criterion"),
        "softmax with cross-entropy is the only loss",
        "optimizer.learning_rate=0.1",
    ),
    (("dropout", "network.dropout"), "there is no dropout, but weight decay", "optimizer.weight_decay=0.0001"),
    (
        ("network.layers", "n_layers", "network.n_layers", "num_layers", "network.num_layers"),
        "the network has one hidden layer",
        "network.hidden_units=50",
    ),
)


def preset_names() -> list[str]:
    """Return the names of tinynet's presets."""
    files = resources.files("tinynet.config").joinpath("presets").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def nearest_keys(key: str, others: Iterable[str] = ()) -> list[tuple[float, str]]:
    """Return the three names, of all keys and `others`, that are most like `key`, each with a likeness from 0 to 1."""
    section, _, last = key.lower().replace("-", "_").rpartition(".")

    def likeness(name: str) -> tuple[float, bool]:
        known_section, _, known = name.rpartition(".")
        if name == OTHER_NAMES.get(last) or name.startswith(f"{key}."):
            return 1.0, True
        is_short_form = len(last) > 1 and last == "".join(word[0] for word in known.split("_"))
        ratio = difflib.SequenceMatcher(None, last, known).ratio()
        return is_short_form or ratio, section == known_section

    ranked = sorted(dict.fromkeys([*others, *dotted_keys()]), key=likeness, reverse=True)
    return [(likeness(name)[0], name) for name in ranked[:3]]


def nearest_key(key: str) -> str | None:
    """Return the dotted key that somebody who wrote `key` may have meant, or None."""
    ((ratio, best), *_) = nearest_keys(key)
    return best if ratio > LIKE_ENOUGH else None


def unknown_key(key: str, others: Iterable[str] = ()) -> str:
    """Return the message for a key that no config has; `others` may be meant too, such as sections."""
    near = ", ".join(name for _, name in nearest_keys(key, others))
    return f"unknown key {shown_path(key)}; nearest: {near} ({ALL_KEYS})"


def unknown_override(key: str, text: str, *, several: bool) -> str:
    """Return the message for KEY=VALUE with a key that no config has, and what to type."""
    for names, about, word in ABSENT:
        if key.lower() in names:
            return f"{key}: {about} ({ALL_KEYS}); write {word}"
    meant = nearest_key(key)
    return unknown_key(key) + (proposal(meant, text, several=several) if meant else "")


def proposal(key: str, text: str, *, several: bool = False) -> str:
    """Return "; write KEY=VALUE" with the allowed value nearest to `text`, quoted for the shell; "" if there is none.

    `several` asks for more than one value where `text` has more than one, as a sweep needs them.
    """
    if (match := RANGE.fullmatch(text.strip())) and int(match[1]) > int(match[2]):
        text = f"{match[2]}..{match[1]}"
    if not several or not re.search(r",|\.\.", text) or kind_of(key).is_list:
        value = next(iter(_meant(key, text)), "")
    elif len(allowed_values(key, text)) > 1:
        value = text.strip()
    else:
        parts = [part for part in re.split(r",|\.\.", text.strip(" []")) if part.strip()]
        found = dict.fromkeys(value for part in parts for value in _meant(key, part)[:1])
        value = ",".join(list(found | dict.fromkeys(_meant(key, "")))[: max(2, len(found))])
    typed = shlex.quote(f"{key}={value}")
    return f"; write {typed}" if value and typed.isprintable() and len(typed) <= 160 else ""


def allowed_values(key: str, text: str) -> list[Any]:
    """Return the values that `text` gives, when all of them are allowed and no two the same; else none."""
    try:
        values = typed_values(key, text)
    except ValueError:
        return []
    is_distinct = len(set(map(repr, values))) == len(values)
    return values if is_distinct and all(is_allowed(key, value) for value in values) else []


def _meant(key: str, text: str) -> list[str]:
    """Return the values that `text` may have meant, the likeliest first, then some that always work."""
    return [one for one in dict.fromkeys(_candidates(key, text)) if len(allowed_values(key, one)) == 1]


def _candidates(key: str, text: str) -> Iterator[str]:
    """Yield what `text` may have meant, and then what is right for the key."""
    kind, field = kind_of(key), field_of(key)
    bare = text.strip().strip("\"'").strip()
    yield bare
    if bare.lower() in ("none", "nil", "unset") and field.default is None:
        yield "null"
    if bool in kind.types:
        yield "true" if bare.lower() in ("yes", "on", "y", "1") else "false"
    if kind.types & {int, float} and str not in kind.types:
        if int not in kind.types or re.fullmatch(r"\d{1,3}(,\d{3})+", bare):
            yield bare.replace(",", "" if int in kind.types else ".")
        numbers = re.findall(r"\d+\.?\d*(?:e-?\d+)?|\.\d+", bare)[:2]
        yield from (f"{float(number) / 100:g}" for number in numbers if "%" in bare)
        yield from numbers
    names = list(kind.choices or [name for name in field.examples or () if isinstance(name, str)])
    yield from (name for name in names if name in bare.lower())
    yield from difflib.get_close_matches(bare.lower(), names, cutoff=0.65)
    if key == "name":
        yield plain_name(bare)
    for value in (field.default, *(field.examples or ()), *names):
        if value is not None:
            yield ",".join(map(str, value)) if isinstance(value, list) else str(value)
