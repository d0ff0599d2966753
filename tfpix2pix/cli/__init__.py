"""Runs the command line: parses arguments, calls one function, prints the result. Loads TensorFlow only if needed."""

from __future__ import annotations

import errno
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from tfpix2pix._version import __version__
from tfpix2pix.cli import data, training
from tfpix2pix.cli import evaluation as study
from tfpix2pix.cli.evaluation import compare, evaluate
from tfpix2pix.cli.export import export
from tfpix2pix.cli.importing import import_
from tfpix2pix.cli.translate import demo, translate
from tfpix2pix.errors import RunError, UserError, escape_controls
from tfpix2pix.memory import lacks_memory

INTERRUPTED = 130  # 128 + SIGINT, as shells count
DEBUG = "--debug"
HELP = {"help_option_names": ["-h", "--help"]}
COMMANDS = {  # command: its example
    training.train: "tfpix2pix train facades --data data/facades --run runs/facades --set training.steps=2000",
    training.distill: "tfpix2pix distill runs/facades --run runs/small --set generator.base_filters=16",
    translate: "tfpix2pix translate runs/facades labels.png --out translated",
    export: "tfpix2pix export runs/facades --format tflite --out exports",
    import_: "tfpix2pix import checkpoints/facades/latest_net_G.pth --out runs/facades",
    evaluate: "tfpix2pix evaluate runs/facades --split val",
    compare: "tfpix2pix compare runs/l1 cgan=runs/cgan --out compared",
    demo: "tfpix2pix demo runs/facades export/models/facades-256px.tflite",
    training.presets: "tfpix2pix presets facades > mine.yaml",
}
DATA_COMMANDS = {
    data.download: "tfpix2pix data download facades",
    data.check: "tfpix2pix data check data/facades --html check.html",
    data.match: "tfpix2pix data match scans finished --out pairs.csv",
    data.align: "tfpix2pix data align data/scans --out data/aligned",
    data.pairs: "tfpix2pix data pairs photos --operator edges --out data/edges",
    data.shard: "tfpix2pix data shard data/facades --out gs://bucket/facades",
}
STUDY_COMMANDS = {
    study.make: "tfpix2pix study make runs/maps --split val --out study",
    study.score: "tfpix2pix study score results/study-*.json",
}
ABOUT = "pix2pix in TensorFlow: pairs go in, a translator comes out."
FIRST_STEPS = {  # what people do, in this order: its command
    "Look at your pairs": "tfpix2pix data check DIR",
    "Train on them": "tfpix2pix train --data DIR --run runs/mine",
    "Translate images": "tfpix2pix translate runs/mine IMAGES --out translated",
    "Take it elsewhere": "tfpix2pix export runs/mine --format saved_model    (or tflite, web, onnx)",
}
MORE = (
    "No pairs at hand: tfpix2pix demo --pretrained openmoji    (a page to draw on), "
    "or tfpix2pix train demo --run runs/demo\n"
    "All commands: tfpix2pix --help. All tasks: tfpix2pix presets. One command: tfpix2pix train --help"
)

app = typer.Typer(
    name="tfpix2pix",
    help=ABOUT,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)
data_app = typer.Typer(
    help="Fetch, examine and write data.", no_args_is_help=True, pretty_exceptions_enable=False, context_settings=HELP
)
study_app = typer.Typer(
    help="Let people tell real images from generated ones.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)
for group, commands in ((app, COMMANDS), (data_app, DATA_COMMANDS), (study_app, STUDY_COMMANDS)):
    for command, example in commands.items():
        group.command(command.__name__.rstrip("_"), epilog=f"Example: {example}")(command)
app.add_typer(data_app, name="data")
app.add_typer(study_app, name="study")


def main() -> None:
    """Runs the `tfpix2pix` script. Exits with code 2 after a user's mistake and with code 1 after a failure.

    Prints each error in one sentence. `--debug`, at any position, adds the traceback.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != DEBUG]
    warnings.showwarning = lambda message, *_: print(f"Warning: {escape_controls(str(message))}", file=sys.stderr)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error: a terminal need not know every character
    try:
        _check_none_empty(arguments)
        code = app(arguments, standalone_mode=False, prog_name="tfpix2pix")
        if code == INTERRUPTED:  # Typer prints no message
            raise KeyboardInterrupt
        sys.exit(code)
    except (
        typer.BadParameter.__base__
    ) as error:  # Typer's own errors: a misspelled command or option, a number out of range
        if error.__class__.__name__ == "NoArgsIsHelpError":
            print(error.format_message())
            sys.exit(2)
        command = error.ctx.command_path if error.ctx else "tfpix2pix"
        message = escape_controls(error.format_message().rstrip("."))
        print(f"Error: {message}{'' if message[-1] in '?)' else '.'} See `{command} --help`.", file=sys.stderr)
        sys.exit(2)
    except (UserError, RunError) as error:
        if DEBUG in sys.argv[1:]:
            print(escape_controls("".join(traceback.format_exception(error))), file=sys.stderr)
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        name = escape_controls(str(error.filename))
        print(
            f"Error: A path must be one that the disk can hold. Received one that is too long: {name}. Shorten it.",
            file=sys.stderr,
        )
        sys.exit(UserError.exit_code)
    except Exception as error:  # commands that know what helps have answered it
        if not lacks_memory(error):
            raise
        if DEBUG in sys.argv[1:]:
            traceback.print_exc()
        print(
            "Error: The work must fit in the memory of the machine and of its GPUs. Received more than that. Use "
            "smaller images, or end other programs.",
            file=sys.stderr,
        )
        sys.exit(RunError.exit_code)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _check_none_empty(arguments: Sequence[str]) -> None:
    """Raises UserError for an empty value, as of an unset variable: a path without a name would be the folder here."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option, equals, value = argument.partition("=")
        if not argument or (argument.startswith("--") and equals and not value):
            name = option or (before if before.startswith("-") else "An argument")
            raise UserError(
                f"{name} must be given a value. Received an empty one. Check the variable, or leave it out."
            )


@app.callback(invoke_without_command=True)
def global_options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option(DEBUG, help="Print the traceback of an error, with any command.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        width = max(map(len, FIRST_STEPS)) + 2
        steps = "\n".join(f"  {step:<{width}}{command}" for step, command in FIRST_STEPS.items())
        print(f"{ABOUT}\n\n{steps}\n\n{MORE}")
