"""The command line: parse, call one public function, print. Errors for people are one line and exit code 2."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from python_shipper.cli import alerting, analysis, elk, exporting, letters, reading, running
from python_shipper.errors import ShipperError

INTERRUPTED, WRONG = 130, 2
EPILOG = (
    "Settings come from the environment (LOG_DIR, DATA_DIR, STACK, API_PORT, …). "
    "Exit codes: 0 done, 1 verify, doctor, alerts test or analyze --check found something, 2 the request or the "
    "machine is wrong, 130 interrupted."
)
# typer re-exports only some of click's errors; this is the base of those that tell of a wrong command line.
UsageError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    help="Logs of all services, searchable by what they say and by trace id.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for room in (reading, analysis, letters, alerting, exporting, running, elk):
    room.add_to(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    try:
        code = app(args=arguments, prog_name="shipper", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: its help, as it is laid out
            sys.stderr.write(f"{error}\n")
            return WRONG
        return say(f"{error.format_message()} See shipper --help.")  # type: ignore[attr-defined]
    except ShipperError as error:
        return say(str(error))
    except ModuleNotFoundError as error:
        return say(f"{error.name} is not installed, and this command needs it; pip install 'python-shipper[all]'")
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return closed_early()
    except OSError as error:
        return say(f"{error.filename or 'system'}: {error.strerror or error}; correct that and try again")
    return code if isinstance(code, int) else 0


def say(message: str) -> int:
    """One line on standard error, whatever the message holds; returns the exit code for it."""
    sys.stderr.write(f"shipper: {' '.join(message.split())}\n")
    return WRONG


def closed_early() -> int:
    """The reader of our output (``| head``) has gone: that is its right, and nothing to complain about at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
