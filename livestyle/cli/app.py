"""The commands in the order that --help lists them, and how one is run."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from livestyle import __version__
from livestyle.cli import demo, inspect, live, optimize, paint, train
from livestyle.cli.options import UsageError, say
from livestyle.terminal import OneLine

app = typer.Typer(
    rich_markup_mode=None,  # markup would swallow "[train]" in help texts
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Turn a webcam, videos or pictures into living paintings.",
)

for command in (
    *(paint.video, paint.image, paint.styles, live.webcam, demo.demo),
    *(inspect.doctor, inspect.bench, train.train, train.export, train.add_style),
    optimize.optimize,
):
    app.command()(command)


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show:
        print(f"livestyle {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


def run_command() -> int:
    """Run what was typed and give its exit status. A wrong option is one line on stderr and 2."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    try:
        # Without its standalone mode, the parser hands its errors on, and gives the status of typer.Exit.
        status = app(prog_name="livestyle", standalone_mode=False)
    except UsageError as error:
        say(f"error: {_in_one_line(error)}")
        return 2
    except typer.Abort:  # what typer makes of an input that ends
        say("stopped")
        return 1
    return status if isinstance(status, int) else 0


def _in_one_line(error: typer.BadParameter) -> str:
    words = " ".join(error.format_message().split()).removesuffix(".")
    path = error.ctx.command_path if error.ctx else "livestyle"
    return f"{words[:1].lower()}{words[1:]} (`{path} --help` shows what there is)"
