"""Print a completion script."""

from __future__ import annotations

import click

EXAMPLES = """\b
Examples:
  source <(lxcwrap completion bash)
  lxcwrap completion bash > /etc/bash_completion.d/lxcwrap
  lxcwrap completion zsh > /usr/share/zsh/vendor-completions/_lxcwrap
  lxcwrap completion fish > ~/.config/fish/completions/lxcwrap.fish
"""


@click.command(epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete commands, flags, and the names of containers and images."""
    from lxcwrap.cli import completion

    root = ctx.find_root().command
    assert isinstance(root, click.Group)
    click.echo(completion.source(root, shell))
