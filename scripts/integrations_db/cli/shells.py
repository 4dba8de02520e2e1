"""How bash, zsh and fish ask for completions, where click's own would get them wrong."""

from __future__ import annotations

import os
import shlex

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

__all__: list[str] = []


@add_completion_class
class _Bash(BashComplete):
    """Takes the line and splits it as a shell does: @, = and : are words of their own to bash.

    The line is not given to ``env``, whose arguments other users of the machine can read.
    """

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' response completion type value
    response=$(COMP_LINE="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete "$1")
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)
        incomplete = "" if line[-1:].isspace() or len(words) < 2 else words.pop()
        return words[1:], incomplete

    def format_completion(self, item: CompletionItem) -> str:
        # bash puts it into the line as it is, and would run a $(command) in the name of a change;
        # zsh and fish write quotes by themselves.
        if item.type == "plain":
            item = CompletionItem(shlex.quote(item.value), item.type, item.help)
        return super().format_completion(item)


class _Joined(ShellComplete):
    """Keeps the name of an option before its value: --to=b is one word, and replaced as one."""

    before = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        name, equals, _ = incomplete.partition("=")
        self.before = name + equals if equals and name.startswith("--") else ""
        return args, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        return super().format_completion(
            CompletionItem(self.before + item.value, item.type, item.help)
        )


@add_completion_class
class _Zsh(_Joined, ZshComplete):
    pass


@add_completion_class
class _Fish(_Joined, FishComplete):
    pass
