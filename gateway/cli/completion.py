"""`area4 completion`: the script that teaches a shell our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    r"""Print the completion script of a shell.

    \b
    bash: area4 completion bash > ~/.local/share/bash-completion/completions/area4
    zsh:  area4 completion zsh > ~/.zfunc/_area4    (with fpath+=~/.zfunc before compinit)
    fish: area4 completion fish > ~/.config/fish/completions/area4.fish
    """
    from gateway.cli.main import cli  # noqa: PLC0415 - main imports the table of commands, which names this module

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(cli, {}, "area4", "_AREA4_COMPLETE")
    click.echo(script.source_template % script.source_vars())
