"""The `slipway` command: serve, predict, models. Exit codes: 0 done, 1 failed, 2 misused.

What a command needs is imported when it runs, so that --help and typing errors answer at once.
"""

import os
import sys
from collections.abc import Sequence

from model_zoo.errors import ModelZooError
from service.cli.errors import CommandFailed
from service.cli.parser import Run, make_parser
from service.errors import ServiceError
from service.settings import SettingsError

FAILED, MISUSED, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Errors are told in a line each, without a traceback."""
    options = make_parser().parse_args(arguments)
    run: Run = options.run
    try:
        return run(options)
    except SettingsError as error:
        return _tell(error, MISUSED)
    except (CommandFailed, ModelZooError, ServiceError, OSError) as error:
        return _tell(error, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED


def _tell(error: Exception, code: int) -> int:
    if isinstance(error, BrokenPipeError):  # `slipway models | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code
    for line in str(error).splitlines():
        sys.stderr.write(f"slipway: {line}\n")
    return code
