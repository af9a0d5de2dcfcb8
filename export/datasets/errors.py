"""What can go wrong while reading data; every message says what to do next.

DatasetError
├── DatasetMissing     nothing that looks like this data set was found
└── DatasetUnreadable  it was found, but its content is not what its format promises
"""


class DatasetError(Exception):
    """The data cannot be used for training."""


class DatasetMissing(DatasetError):
    """Nothing that looks like the data set was found; the message names its download page."""


class DatasetUnreadable(DatasetError):
    """A file was found and is not in the format that its name promises."""
