"""Reads and writes the files of a folder: never through a link, never out of the folder."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_LINKS = os.O_NOFOLLOW | os.O_CLOEXEC


def read_regular_file(folder: Path, file: str, *, max_bytes: int) -> bytes:
    """The bytes of `folder/file`, read once.

    Raises OSError: ELOOP for a symbolic link (the file or the folder itself), EINVAL for anything
    else that is not a regular file, EFBIG for more than `max_bytes`, ENOENT and the usual rest.
    """
    if os.sep in file or file in {"", ".", ".."} or "\0" in file:
        raise OSError(errno.EINVAL, "not a plain file name", file)
    with _opened(folder) as folder_fd:
        # a pipe would block an opening that waits for its writer
        flags = os.O_RDONLY | os.O_NONBLOCK | _NO_LINKS
        with os.fdopen(os.open(file, flags, dir_fd=folder_fd), "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", file)
            if found.st_size > max_bytes:
                raise OSError(errno.EFBIG, f"more than {max_bytes} bytes", file)
            # a file that grows meanwhile gives no more than it was measured to have
            return stream.read(found.st_size)


def write_durably(path: Path, data: bytes) -> None:
    """Creates the file (which must not exist) and returns once its bytes are on the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS
    with os.fdopen(os.open(path, flags, 0o644), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Returns once the folder's own entries (new names, renames) are on the disk."""
    with _opened(folder) as folder_fd:
        os.fsync(folder_fd)


def explain(error: OSError) -> str:
    """The error's cause in words that fit a message about published files."""
    if error.errno == errno.ELOOP:
        return "is a symbolic link, which is never followed"
    return error.strerror or str(error)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _NO_LINKS)
    try:
        yield folder_fd
    finally:
        os.close(folder_fd)
