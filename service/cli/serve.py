"""`slipway serve`."""

import argparse

from service.app import StartFailed, serve
from service.cli.errors import CommandFailed
from service.cli.version import slipway_version
from service.settings import SETTINGS, Settings


def run(options: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    given = {setting.name: getattr(options, setting.name) for setting in SETTINGS}
    try:
        return serve(Settings.load(given), slipway_version())
    except StartFailed as error:
        raise CommandFailed(str(error)) from error
