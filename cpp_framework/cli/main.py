"""The command `cpp`: registers the verbs, turns errors into messages, hints and exit codes."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
from importlib import import_module

import typer

from cpp_framework._version import __version__
from cpp_framework.cli.output import print_json_error
from cpp_framework.errors import CppError, printable
from cpp_framework.plugins import installed

VERBS = (
    "init", "ingest", "find", "flag", "plan", "produce", "run", "verify", "certify", "apply", "show", "explain",
    "export", "import_bundle", "doctor", "store", "instrument", "plugins", "sim",
)  # fmt: skip

INTERRUPTED = 130

EPILOG = (
    "Exit codes: 0 done or up to date, 1 internal error, 2 usage, 3 inputs missing, 4 verification failed, "
    "5 conflict, 6 some units failed, 130 interrupted."
)


def make_app() -> typer.Typer:
    """Build the command line from the verbs and what plugins add."""
    app = typer.Typer(
        name="cpp",
        help="Calibration products production: raw exposures to verified calibration products.",
        epilog=EPILOG,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def options(
        context: typer.Context,
        version: bool = typer.Option(False, "--version", is_eager=True, callback=_version, help="Show versions."),  # noqa: ARG001
        debug: bool = typer.Option(False, "--debug", envvar="CPP_DEBUG", help="Show tracebacks of errors."),
    ) -> None:
        if debug:
            os.environ["CPP_DEBUG"] = "1"
        for plugin in installed().broken if context.invoked_subcommand != "plugins" else ():
            print(f"warning: plugin {plugin.name} of {plugin.distribution} is broken: cpp plugins", file=sys.stderr)

    for verb in VERBS:
        import_module(f"cpp_framework.cli.{verb}").register(app)
    installed().manager.hook.cpp_commands(app=app)
    return app


def run() -> None:
    """Entry point of the commands ``cpp`` and ``cpp-cal``."""
    sys.exit(main())


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors go to stderr without a traceback."""
    _prepare_streams()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        result = make_app()(args=arguments, standalone_mode=False)
    except CppError as error:
        return _report(str(error), error.hint, error.exit_code)
    except typer.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        # The reader of our output (head, less) has left: nothing to tell it, and nothing to tell the user.
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
        return 0
    except OSError as error:
        return _report(*_named(error), 1)
    except Exception as error:
        if (show := getattr(error, "show", None)) is not None:  # usage errors of the argument parser print themselves
            said = io.StringIO()
            show(file=said)
            print(printable(said.getvalue().rstrip()), file=sys.stderr)
            if "Usage:" not in said.getvalue():
                print("hint: cpp VERB --help tells the options of a verb", file=sys.stderr)
            return 2
        return _report(
            f"internal error: {type(error).__name__}: {error}", "run again with --debug and report the output", 1
        )
    # The argument parser itself turns Ctrl-C into this result.
    return _interrupted() if result == INTERRUPTED else int(result or 0)


def _named(error: OSError) -> tuple[str, str]:
    """Message and hint for what the operating system refused, where no verb has said it better."""
    if error.errno == errno.ENOENT and not error.filename:
        return "the current folder is gone", "cd to another one"
    hints = {errno.ENOSPC: "free space and repeat", errno.ENAMETOOLONG: "give a shorter name"}
    what = f"{error.strerror or error}: {error.filename or 'standard output'}"
    return what, hints.get(error.errno or 0, "check the path, its permissions and the space left")


def _prepare_streams() -> None:
    """Make every stream writable: a closed one goes nowhere, and what an old terminal cannot show becomes '?'."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _terminate(number: int, frame: object) -> None:  # noqa: ARG001  (the signature of a signal handler)
    # Ended from outside, we leave as for Ctrl-C: workers stop and scratch folders go.
    raise KeyboardInterrupt


def _interrupted() -> int:
    return _report("interrupted; nothing published is lost, the same command goes on", "", INTERRUPTED)


def _report(message: str, hint: str, code: int) -> int:
    if os.environ.get("CPP_DEBUG"):
        traceback.print_exc()
    print(f"error: {printable(message)}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    if "--json" in sys.argv:
        print_json_error(message, hint, code)
    return code


def _version(wanted: bool) -> None:
    if not wanted:
        return
    print(f"cpp-framework {__version__}")
    for plugin in installed().loaded:
        print(f"{plugin.distribution} {plugin.version}" + (f"  (broken: {plugin.problem})" if plugin.problem else ""))
    raise typer.Exit


if __name__ == "__main__":
    run()
