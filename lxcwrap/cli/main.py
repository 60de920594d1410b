"""The entry point: finds the named command's module, loads only that, and prints errors in one place.

A file's name is its registration: ``commands/NAME.py`` is ``lxcwrap NAME`` and ``commands/GROUP/NAME.py``
is ``lxcwrap GROUP NAME``, each with a ``command``.  A top-level module that also says ``group = "container"``
answers to ``lxcwrap container NAME`` too.
"""

from __future__ import annotations

import gc

gc.set_threshold(50_000)  # imports make objects, not garbage: looking for it would cost a tenth of a short command

import io  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from importlib import import_module  # noqa: E402

import click  # noqa: E402
from click.core import ParameterSource  # noqa: E402

from lxcwrap.cli.app import App  # noqa: E402
from lxcwrap.errors import LxcwrapError  # noqa: E402

_COMMANDS = os.path.join(os.path.dirname(__file__), "commands")
SETTINGS = {"help_option_names": ["--help"], "max_content_width": 120, "auto_envvar_prefix": None}

ALIASES = {"list": "ls", "remove": "rm"}  # in a group: lxcwrap volume list


class Group(click.Group):
    """A group whose commands are modules, imported when they are named."""

    def __init__(self, folder: str = "", **attributes: object) -> None:
        super().__init__(**attributes)  # type: ignore[arg-type]
        self.folder = folder

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = set(_modules(self.folder))
        if self.folder:
            names.update(name for name in _modules("") if _group_of(name) == self.folder)
        return sorted(name.replace("_", "-") for name in names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = cmd_name.replace("-", "_")
        if self.folder:
            name = ALIASES.get(name, name)
        if name in _modules(self.folder):
            found = _load(".".join(filter(None, (self.folder, name))))
        elif self.folder and name in _modules("") and _group_of(name) == self.folder:
            found = _load(name)
        else:
            return None
        if ctx.resilient_parsing:  # a shell asks for completions
            from lxcwrap.cli.completion import prepare

            prepare(found)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and not args[0].startswith("-") and not self.get_command(ctx, args[0]):
            _unknown(self, ctx, args[0])
        name, command, rest = super().resolve_command(ctx, args)
        if command and not isinstance(command, click.Group) and any("=" in word for word in rest):
            from lxcwrap.cli.flags import plain

            rest = plain(command, rest)
        return name, command, rest


def _unknown(group: Group, ctx: click.Context, name: str) -> None:
    from difflib import get_close_matches

    from lxcwrap.cli import absent

    reason = absent.reason(ctx.command_path, name)
    if reason:
        raise LxcwrapError(f"{name!r} is a command of Docker's that {ctx.command_path} does not have: {reason}")
    near = get_close_matches(name, group.list_commands(ctx), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"see: {ctx.command_path} --help"
    raise LxcwrapError(f"{name!r} is not a command of {ctx.command_path} ({hint})")


def _modules(folder: str) -> list[str]:
    """Names of the commands in a folder: modules, and folders (groups)."""
    place = os.path.join(_COMMANDS, folder)
    names = []
    for entry in os.listdir(place):
        if entry.startswith(("_", ".")):
            continue
        if entry.endswith(".py"):
            names.append(entry[:-3])
        elif not folder and os.path.exists(os.path.join(place, entry, "__init__.py")):
            names.append(entry)
    return names


def _group_of(name: str) -> str:
    if os.path.isdir(os.path.join(_COMMANDS, name)):
        return ""
    return getattr(import_module(f"lxcwrap.cli.commands.{name}"), "group", "")


def _load(name: str) -> click.Command:
    module = import_module(f"lxcwrap.cli.commands.{name}")
    command = getattr(module, "command", None)
    if isinstance(command, click.Command):
        return command
    hidden = getattr(module, "hidden", False)
    return Group(name, name=name, help=module.__doc__, context_settings=SETTINGS, no_args_is_help=True, hidden=hidden)


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from lxcwrap import __version__

        click.echo(f"lxcwrap version {__version__}")
        ctx.exit()


@click.command(cls=Group, context_settings=SETTINGS, no_args_is_help=True)
@click.option("--root", envvar="LXCWRAP_ROOT", metavar="DIR", help="State root [default: /var/lib/lxcwrap].")
@click.option(
    "--storage-driver",
    envvar="LXCWRAP_STORAGE_DRIVER",
    metavar="NAME",
    help="overlay, aufs or vfs, for a new state root.",
)
@click.option("-H", "--host", metavar="HOST", help="Run on another host, or on all of a group [env: LXCWRAP_HOST].")
@click.option("-D", "--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "-v",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the version and exit.",
)
@click.pass_context
def cli(ctx: click.Context, root: str | None, storage_driver: str | None, host: str | None, debug: bool) -> None:
    """Docker's workflow on LXC, without a daemon."""
    if storage_driver:
        from lxcwrap.storage import driver

        driver.load(storage_driver)  # what is none is refused by commands that need none, too
    given = () if ctx.get_parameter_source("root") is not ParameterSource.COMMANDLINE else ("--root", str(root))
    ctx.obj = App(root, storage_driver, debug, host or "", given)


def main() -> None:
    """The console script.  Ends at once: taking the interpreter down would cost more than many commands do."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names in other encodings come out as they are
        sys.stdout.reconfigure(errors="surrogateescape" if sys.stdout.encoding == "utf-8" else "backslashreplace")
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        pass  # nobody reads it any more
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code (design, section 1)."""
    if "_LXCWRAP_COMPLETE" in os.environ:
        import lxcwrap.cli.completion  # noqa: F401  (makes click know our bash script)
    debug = bool({"-D", "--debug"} & set(arguments[:4]))
    try:
        if arguments[:1] and (arguments[0].startswith("-") or "LXCWRAP_HOST" in os.environ):
            from lxcwrap.cli import target

            hosts = target.named(arguments)
            if hosts:
                from lxcwrap.cli import far

                return far.run(arguments, hosts)
        result = cli.main(arguments, prog_name="lxcwrap", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except LxcwrapError as error:
        return _report(error, debug)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except click.ClickException as error:
        _print(error.format_message(), _usage_hint(error))
        return 1 if _is_about_arguments(error) else 125
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter's own flush must not fail again
        return 141
    except OSError as error:
        if debug:
            raise
        return _report(_from_os(error), debug)
    except (MemoryError, RuntimeError, ImportError) as error:
        if debug or not _is_shortage(error):
            raise
        return _report(LxcwrapError("not enough memory", hint=_SHORT), debug)


def _is_about_arguments(error: click.ClickException) -> bool:
    """Too few or too many words: 1, as Docker has it; a wrong flag is 125."""
    if isinstance(error, click.MissingParameter):
        return isinstance(error.param, click.Argument)
    return type(error) is click.UsageError


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"see: {context.command_path} --help" if context else ""


_SHORT = "a limit on this process (ulimit -a, its control group) or the machine's memory is reached"


def _is_shortage(error: Exception) -> bool:
    """Whether there was no memory for an object, a thread or a shared library."""
    said = ("can't start new thread", "failed to map segment", "cannot allocate memory", "Cannot allocate memory")
    return isinstance(error, MemoryError) or any(words in str(error) for words in said)


def _from_os(error: OSError) -> LxcwrapError:
    import errno

    from lxcwrap.errors import NoSpace

    where = f"{error.filename}: " if error.filename else ""
    kind = NoSpace if error.errno in (errno.ENOSPC, errno.EDQUOT) else LxcwrapError
    return kind(f"{where}{error.strerror or error}")


def _report(error: LxcwrapError, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    _print(error.message, error.hint)
    return error.exit_code


def _print(message: str, hint: str) -> None:
    from lxcwrap.cli.terminal import printable

    line = printable(message)
    if hint:
        line += f" ({printable(hint)})"
    print(f"lxcwrap: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
