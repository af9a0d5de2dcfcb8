"""Why a command gave up."""


class CommandFailed(Exception):
    """It cannot do what it was asked; the message is for the person who asked, a line a reason."""
