"""`kvision <command> [flags]`: each command is a module of this folder, with FLAGS and a `run(options, arguments)`."""

import copy
import importlib
import os
import sys

COMMANDS = {
    "train": "train a network and keep everything in a run folder",
    "evaluate": "measure a trained network: top-1, top-5, calibration, confusion, each class, pictures",
    "report": "write a page to show to others, about one run or several",
    "predict": "ask a network about image files",
    "export": "write a SavedModel that TensorFlow Serving runs",
    "models": "list the networks, or print one of them",
    "recipes": "list the papers' ways of training, or print one of them",
}


def usage() -> str:
    lines = [f"  {name:10}{purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        ["usage: kvision <command> [flags]", "", *lines, "", "kvision <command> --help tells a command's flags."]
    )


def main(argv: list[str] | None = None) -> int:
    """Runs one command. Returns the exit status: 0, 1 for an error (told in one line), 2 for a wrong call."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if not arguments or arguments[0] in ("help", "--help", "-h"):
        print(usage())
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"kvision: there is no command {command!r}\n\n{usage()}", file=sys.stderr)
        return 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from absl import flags

    module = importlib.import_module(f"kvision.cli.{command}")
    options = copy.deepcopy(module.FLAGS)
    if {"--help", "-h", "--helpshort"} & set(rest):
        print(f"{module.__doc__.strip()}\n{options.module_help(module.__name__)}")
        return 0
    try:
        arguments = options([f"kvision {command}", *rest])[1:]
        return module.run(options, arguments) or 0
    except flags.Error as error:
        print(f"kvision {command}: {error}\nkvision {command} --help tells the flags.", file=sys.stderr)
        return 2
    except (ValueError, OSError, ArithmeticError) as error:  # the last: a loss that is not finite
        if os.environ.get("KVISION_TRACEBACK"):
            raise
        print(f"kvision {command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nkvision {command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
