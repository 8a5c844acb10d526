"""The keys of a config explained: a JSON Schema for editors, a table for readers, a preset with comments.

All of it comes from the fields of `Config`; nothing is said twice.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from tinynet.config.loading import OWN_TABLE, load_config, preset_text
from tinynet.config.sections import OPTIONS, TOO_LARGE, Config

DIALECT = "https://json-schema.org/draft/2020-12/schema"
COMMENT_COLUMN, LINE_LENGTH = 28, 120
LIMITS = {  # of JSON Schema, in words
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "exclusiveMaximum": "< {}",
    "maxLength": "at most {} characters",
}
HEAD = """\
# The keys of a config

Written by `tinynet schema --markdown --output docs/config.md`; `tinynet schema --output config.schema.json` writes the
same as a JSON Schema. An editor that knows JSON Schema completes and checks a config whose first line is
`#:schema config.schema.json` in TOML, or `"$schema": "config.schema.json",` after the first brace in JSON. A key is
left out, or has a value of its type; `tinynet presets digits > my.toml` prints a config with all of them.
"""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a config."""
    keys = Config.model_json_schema()
    keys["properties"]["$schema"] = {"type": "string", "description": "where this schema is; tinynet ignores it"}
    axes = "for `tinynet sweep`: keys, each with a list of values or a range such as '0..4'"
    keys["properties"]["sweep"] = {"type": "object", "description": axes}
    return {"$schema": DIALECT} | keys | {"title": "The config of a tinynet run"}


def schema_text() -> str:
    """Return the JSON Schema of a config as text."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def key_table() -> str:
    """Return every key in Markdown: type, default, range, unit and meaning."""
    lines = [HEAD]
    for section, about, keys in _sections():
        lines += [f"## [{section}]\n\n{about}\n" if section else "## At the top\n"]
        lines += ["| key | type | default | range | unit and meaning |", "|---|---|---|---|---|"]
        for name, key in keys.items():
            types = " or ".join(choice["type"] for choice in _choices(key))
            values = _range(key).replace("|", "\\|")
            lines.append(f"| `{name}` | {types} | {_default(key)} | {values} | {key['description']} |")
        lines.append("")
    return "\n".join(lines)


def commented_preset(name: str) -> str:
    """Return the preset `name` as TOML in which every key has its meaning, unit and range.

    A key that is not set is commented out, with an example.

    Raises
    ------
    ConfigError
        For an unknown name, with the nearest one.
    """
    is_table = name == "csv"
    lines = [f"# {OWN_TABLE}" if is_table else preset_text(name).splitlines()[0]]
    values = load_config("data.csv" if is_table else name).model_dump(exclude_none=True)
    values["dataset"] |= {"path": "data.csv"} if is_table else {}
    others = {key for keys in OPTIONS.values() for key in keys}.difference(OPTIONS["csv"]) if is_table else set()
    for section, about, keys in _sections():
        if section:
            lines += ["", _commented(f"[{section}]", about)]
        given = values[section] if section else values
        for key, about_key in keys.items():
            if section == "dataset" and key in others:
                continue
            value = json.dumps(given.get(key, about_key.get("examples", [None])[0]), ensure_ascii=False)
            line = f"{'' if key in given else '# '}{key} = {value}"
            lines.append(_commented(line, "; ".join(filter(None, [about_key["description"], _range(about_key)]))))
    return "\n".join(lines) + "\n"


def _commented(line: str, comment: str) -> str:
    """Put a comment behind a line; what does not fit goes on lines of its own."""
    beside, *below = textwrap.wrap(comment, LINE_LENGTH - max(COMMENT_COLUMN, len(line) + 1) - 2)
    return "\n".join([f"{line:{COMMENT_COLUMN - 1}} # {beside}", *(f"{'':{COMMENT_COLUMN}}# {more}" for more in below)])


def _sections() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each section's name, what it is for, and its keys; those outside of any section come first."""
    found = Config.model_json_schema()
    top = {name: key for name, key in found["properties"].items() if "$ref" not in key}
    yield "", "", top
    for name, key in found["properties"].items():
        if name not in top:
            section = found["$defs"][key["$ref"].rpartition("/")[2]]
            yield name, section["description"], section["properties"]


def _choices(key: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the types that a key may have, without the null of a key that may be left out."""
    return [choice for choice in key.get("anyOf", [key]) if choice["type"] != "null"]


def _default(key: dict[str, Any]) -> str:
    if "default" not in key:
        return "must be given"
    return "unset" if key["default"] is None else f"`{json.dumps(key['default'], ensure_ascii=False)}`"


def _range(key: dict[str, Any]) -> str:
    ranges = []
    for choice in _choices(key):
        limits = [LIMITS[limit].format(choice[limit]) for limit in LIMITS if choice.get(limit, TOO_LARGE) != TOO_LARGE]
        names = [name if name.isidentifier() else json.dumps(name) for name in choice.get("enum", [])]
        ranges += [", ".join(names) or " and ".join(limits)]
    return " or ".join(filter(None, ranges))
