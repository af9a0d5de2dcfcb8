"""Which Slipway this is."""

from importlib.metadata import PackageNotFoundError, version


def slipway_version() -> str:
    """The version of the installed package."""
    try:
        return version("slipway")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0.0.0+source"
