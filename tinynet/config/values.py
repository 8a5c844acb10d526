"""Values as they are typed on the command line, read as the type of their key: words, numbers, lists, ranges."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tinynet.config.sections import CombinationError, Config
from tinynet.storage.messages import shown_path

MAX_LENGTH = 2000  # characters of a line or a value; tomllib's time and memory grow with the square of a dotted key's
MAX_RANGE = 100_000  # values
WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
RANGE = re.compile(r"([+-]?\d{1,15})\.\.([+-]?\d{1,15})", re.ASCII)
QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'[^']*'""", re.DOTALL)
TOKENS = re.compile(rf"(?:{QUOTED.pattern})(?=\s*(?:[],]|$))|.", re.DOTALL)


@dataclass(frozen=True)
class Kind:
    """What a key may hold: values of some types, or a list of them; `choices` where only some names are allowed."""

    types: frozenset[type]
    choices: tuple[str, ...]
    is_list: bool


def dotted_keys(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Return every key below `model`, such as optimizer.learning_rate."""
    keys = []
    for name, field in model.model_fields.items():
        section = field.annotation
        is_section = isinstance(section, type) and issubclass(section, BaseModel)
        keys += dotted_keys(section, f"{prefix}{name}.") if is_section else [prefix + name]  # type: ignore[arg-type]
    return keys


def field_of(key: str) -> FieldInfo:
    """Return the field of a dotted key that exists."""
    section, _, last = key.rpartition(".")
    model: Any = Config.model_fields[section].annotation if section else Config
    return model.model_fields[last]  # type: ignore[no-any-return]


def kind_of(key: str) -> Kind:
    """Return what a dotted key may hold."""
    annotation = field_of(key).annotation
    leaves = list(_leaves(annotation))
    choices = tuple(name for one in leaves if get_origin(one) is Literal for name in get_args(one))
    types = {str if get_origin(one) is Literal else one for one in leaves} - {type(None)}
    return Kind(frozenset(types), choices, any(get_origin(one) is list for one in (annotation, *get_args(annotation))))


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the types and the Literals that an annotation is made of."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType, Annotated, list):
        for one in inner[:1] if origin is Annotated else inner:
            yield from _leaves(one)
    else:
        yield annotation


def typed_values(key: str, text: str) -> list[Any]:
    """Return the values of `key` that `text` gives: several when it is what a sweep varies, None for "null".

    Raises
    ------
    ValueError
        When it cannot be read as what the key holds.
    """
    kind, text = kind_of(key), text.strip()
    if len(text) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH:,} characters, which no value needs")
    if text in kind.choices:
        return [text]
    items = _items(text)
    if kind.is_list and items:
        inner = _items(text[1:-1]) if len(items) == 1 and _is_list(text) else items
        if inner and all(map(_is_list, inner)):
            return [_elements(kind, _items(one[1:-1])) for one in inner]
        return [None] if text == "null" else [_elements(kind, inner)]
    if len(items) == 1 and _is_list(text):
        items = _items(text[1:-1])
    if not items:
        raise ValueError("has no value")
    return [value for item in items for value in ([None] if item == "null" else _elements(kind, [item]))]


def _is_list(text: str) -> bool:
    return text.startswith("[") and text.endswith("]")


def _items(text: str) -> list[str]:
    """Split at the commas that are in no quotes and no brackets."""
    tokens, items, depth = TOKENS.findall(text), [""], 0
    ignores_brackets = tokens.count("[") != tokens.count("]")
    for token in tokens:
        if token == "," and (depth == 0 or ignores_brackets):
            items.append("")
            continue
        depth += (token == "[") - (token == "]")
        items[-1] += token
    items = [item.strip() for item in items]
    if len(items) > 1 and "" in items:
        raise ValueError(f"has no value {items.index('') + 1} of {len(items)}")
    return items if items != [""] else []


def _elements(kind: Kind, items: list[str]) -> list[Any]:
    return [value for item in items for value in _element(kind, item)]


def _element(kind: Kind, item: str) -> list[Any]:
    """Return the value of one item, or those of a range."""
    if int in kind.types and (match := RANGE.fullmatch(item)):
        return _range(item, int(match[1]), int(match[2]))
    if QUOTED.fullmatch(item):
        try:
            return [tomllib.loads(f"value = {item}")["value"]]
        except ValueError as error:
            raise ValueError(
                f"{shown_path(item)} cannot be read: a backslash in double quotes begins an escape"
            ) from error
    if bool in kind.types and item.lower() in ("true", "false"):
        return [item.lower() == "true"]
    if int in kind.types and str in kind.types:  # a number is a position, anything else a name
        return [int(item) if WHOLE.fullmatch(item) else item]
    return [item if str in kind.types and not _is_list(item) else _number(kind, item)]


def _number(kind: Kind, item: str) -> Any:
    item = item.partition("#")[0].strip()  # what follows is a comment
    for read in (int, partial(int, base=0), float) if item.isascii() else ():
        with suppress(ValueError):
            value = read(item)
            return int(value) if int in kind.types and value == value // 1 else value
    raise ValueError(f"{shown_path(item)} is not {'a number' if kind.types & {int, float} else 'true or false'}")


def _range(text: str, first: int, last: int) -> list[Any]:
    """Return the numbers of a range such as 0..4, both ends included."""
    if first > last:
        raise ValueError(f"{shown_path(text)} is an empty range")
    if last - first >= MAX_RANGE:
        raise ValueError(f"{shown_path(text)} has {last - first + 1:,} values; more than {MAX_RANGE:,} are refused")
    return list(range(first, last + 1))


def put(values: dict[str, Any], key: str, value: Any) -> None:
    """Write `value` into the nested `values`; None takes the key away."""
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            return  # a fault of the file, which validation reports
    if value is None:
        values.pop(last, None)
    else:
        values[last] = value


def is_allowed(key: str, value: Any) -> bool:
    """Return whether `key` may have `value`, whatever the other keys have."""
    values: dict[str, Any] = {"dataset": {"name": "iris"}}
    put(values, key, value)
    try:
        Config.model_validate(values)
    except ValidationError as error:
        path = tuple(key.split("."))
        own = [detail for detail in error.errors(include_url=False) if detail["loc"][: len(path)] == path]
        return all(isinstance(detail.get("ctx", {}).get("error"), CombinationError) for detail in own)
    return True


def plain_name(text: str) -> str:
    """Return a run's name made of `text`: its letters, digits, '-' and '_'."""
    return re.sub(r"[^\w-]+", "-", text).strip("_-")[:100]
