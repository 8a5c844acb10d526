"""A script for the shell that completes commands, options, presets, keys and values without starting Python."""

from __future__ import annotations

import re

from tinynet.cli.parser import build_parser
from tinynet.config.loading import preset_names
from tinynet.config.values import dotted_keys, field_of, kind_of

SCRIPT = """\
_tinynet() {{  # bash and zsh; $2 is the word before the cursor, which bash splits at "="
  local word=$2 words=
  [ -n "$ZSH_VERSION" ] || {{ word=${{COMP_LINE:0:$COMP_POINT}}; word=${{word##* }}; }}
  case ${{COMP_WORDS[1]}} in
{commands}
    *) words='{names}' ;;
  esac
  [ "$COMP_CWORD" -gt 1 ] || words='{names}'
  case $word in
{values}
    *=*) words= ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [ -n "$ZSH_VERSION" ] || case $word in *=*) COMPREPLY=("${{COMPREPLY[@]#*=}}") ;; esac
  case ${{COMPREPLY[0]}} in *=) compopt -o nospace 2> /dev/null ;; esac
}}
"""
REGISTER = {
    "bash": "complete -o default -F _tinynet tinynet\n",
    "zsh": "autoload -U +X compinit bashcompinit && compinit -u && bashcompinit\n"
    "complete -o default -o nospace -F _tinynet tinynet\n",
}


def completion_script(shell: str) -> str:
    """Return the script that makes `shell`, "bash" or "zsh", complete the words of the command."""
    commands = build_parser()[1]
    keys = dotted_keys()
    cases = []
    for name, command in commands.items():
        words, arguments = command.long_options, {action.dest for action in command._actions}
        words += preset_names() if arguments & {"config", "name"} else []
        words += [f"{key}=" for key in keys] if "overrides" in arguments else []
        words += list(REGISTER) if "shell" in arguments else []
        cases.append(f"    {name}) words='{' '.join(words)}' ;;")
    values = [
        f"    {key}=*) words='{' '.join(f'{key}={one}' for one in named)}' ;;" for key in keys if (named := _names(key))
    ]
    return (
        SCRIPT.format(commands="\n".join(cases), values="\n".join(values), names=" ".join(commands)) + REGISTER[shell]
    )


def _names(key: str) -> list[str]:
    """Return the words that a key may have, such as those of an activation."""
    kind = kind_of(key)
    names = kind.choices or ("true", "false") * (bool in kind.types)
    if key == "network.activation":
        names = tuple(str(name) for name in field_of(key).examples or ())
    return [name for name in names if re.fullmatch(r"[\w:-]+", name)]
