"""ModelZooError
├── ManifestInvalid    manifest.json is missing, unreadable or says something impossible
├── FileMismatch       a file is not the one that the manifest promises
├── ModelNotFound      no such model, or no such version of it
└── AlreadyPublished   a published version is never overwritten

Messages name the file and say what to do; they hold paths, so they are for operators.
"""


class ModelZooError(Exception):
    """Anything wrong with published models."""


class ManifestInvalid(ModelZooError):
    """The manifest cannot be read or contradicts itself; the message names file and field."""


class FileMismatch(ModelZooError):
    """A file is missing, is not a regular file, or differs from the manifest in size or hash."""


class ModelNotFound(ModelZooError):
    """The catalog has no model of this name and version."""


class AlreadyPublished(ModelZooError):
    """The version exists already; publish the next one instead."""
