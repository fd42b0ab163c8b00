"""`pointsman completion bash | zsh | fish`: scripts made from the table of commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from proxy.cli.main import OK, unknown
from proxy.cli.verbs import FILE, FOLDER, SHELLS, VERBS, groups

if TYPE_CHECKING:
    from proxy.cli.verbs import Option, Verb

_PATHS: Final = (FILE, FOLDER)


def run(arguments: list[str]) -> int:
    """Prints the script for one shell."""
    shell = arguments[0] if arguments else ""
    if shell not in SHELLS:
        return unknown("shell", shell, SHELLS)
    sys.stdout.write({"bash": bash, "zsh": zsh, "fish": fish}[shell]())
    return OK


def bash() -> str:
    """By the words so far; files where an option or an argument takes one."""
    cases = "\n".join(_bash_case(verb) for verb in VERBS)
    seconds = "\n".join(
        f'    {first}) [ "$COMP_CWORD" -eq 2 ] && words="{" ".join(inside)}" ;;'
        for first, inside in groups().items()
        if inside
    )
    return f"""\
# bash completion of pointsman
_pointsman() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
  local verb="${{COMP_WORDS[1]}}" second="${{COMP_WORDS[2]}}"
  COMPREPLY=()
  case "$prev" in
    {"|".join(_names_of(_PATHS))}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
{_bash_values()}  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{" ".join(groups())}"
  fi
  case "$verb" in
{seconds}
  esac
  if [ -z "$words" ]; then
    case "$verb $second" in
{cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- "$cur"))
}}
complete -o filenames -F _pointsman pointsman pointsman.pyz
"""


def _bash_case(verb: Verb) -> str:
    pattern = f'"{verb.name}"' if " " in verb.name else f'"{verb.name} "*'
    words = " ".join((*verb.words, *(option.name for option in verb.options)))
    return f'      {pattern}) words="{words}" ;;'


def _bash_values() -> str:
    """Options whose values are few and known."""
    known = {option.name: option.words for option in _all_options() if option.words}
    return "".join(
        f'    {name}) COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$cur")); return ;;\n'
        for name, words in known.items()
    )


def zsh() -> str:
    """Bash's function, by zsh's own emulation of bash completion."""
    return f"""\
# zsh completion of pointsman, after compinit
autoload -U +X bashcompinit && bashcompinit
{bash()}"""


def fish() -> str:
    """One line an option, under the condition that its command was typed."""
    lines = ["# fish completion of pointsman", "complete -c pointsman -f"]
    for first, seconds in groups().items():
        about = next((verb.about for verb in VERBS if verb.name == first), f"{', '.join(seconds)}")
        lines.append(
            f"complete -c pointsman -n __fish_use_subcommand -a {first} -d {_quoted(about)}"
        )
    for verb in VERBS:
        first, _, second = verb.name.partition(" ")
        typed = f"__fish_seen_subcommand_from {first}"
        if second:
            others = " ".join(groups()[first])
            lines.append(
                f"complete -c pointsman -n {_quoted(f'{typed}; and not __fish_seen_subcommand_from {others}')}"
                f" -a {second} -d {_quoted(verb.about)}"
            )
            typed += f"; and __fish_seen_subcommand_from {second}"
        if verb.words:
            lines.append(
                f"complete -c pointsman -n {_quoted(typed)} -a {_quoted(' '.join(verb.words))}"
            )
        lines += [_fish_option(option, typed) for option in verb.options]
        if _takes_file(verb):
            lines.append(f"complete -c pointsman -n {_quoted(typed)} -F")
    return "\n".join(lines) + "\n"


def _fish_option(option: Option, typed: str) -> str:
    value = ""
    if option.words:
        value = f" -x -a {_quoted(' '.join(option.words))}"
    elif option.value in _PATHS:
        value = " -r -F"
    elif option.value:
        value = " -x"
    name = option.name.removeprefix("--")
    about = _quoted(option.about)
    return f"complete -c pointsman -n {_quoted(typed)} -l {name}{value} -d {about}"


def _takes_file(verb: Verb) -> bool:
    return any(word in verb.arguments for word in ("FILE", "CONFIG"))


def _all_options() -> list[Option]:
    return [option for verb in VERBS for option in verb.options]


def _names_of(kinds: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(o.name for o in _all_options() if o.value in kinds))


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
