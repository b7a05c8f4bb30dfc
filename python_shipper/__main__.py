"""The ``shipper`` command: says which packages are missing where the base install has no command line."""

import sys


def main() -> None:
    """Run the command line and exit with its code (2: the request or the machine is wrong, said in one line)."""
    try:
        from python_shipper.cli import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"typer", "rich"}:
            raise
        message = "the command line needs typer and rich; pip install 'python-shipper[embedded,dashboard]'"
        sys.stderr.write(f"shipper: {missing} is not installed: {message}\n")
        sys.exit(2)
    sys.exit(run())


if __name__ == "__main__":
    main()
