"""All models on disk, `<root>/<name>/<version>/`: finds them, opens them, publishes them.

A published version never changes. What is read is checked against the manifest, byte for byte;
symbolic links are never followed below the root, and files that no manifest lists do not exist.
"""

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model_zoo.errors import (
    AlreadyPublished,
    FileMismatch,
    ManifestInvalid,
    ModelNotFound,
    ModelZooError,
)
from model_zoo.fields import NAME_PATTERN
from model_zoo.files import explain, read_regular_file, sync_folder, write_durably
from model_zoo.manifest import (
    MANIFEST_FILE,
    ArtefactFile,
    Manifest,
    parse_manifest,
    read_manifest,
)

DEFAULT_ROOT = Path(__file__).resolve().parent

_NAME = re.compile(NAME_PATTERN)
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class ModelRef:
    """One version on disk; whether it is any good shows when it is opened."""

    name: str
    version: int
    folder: Path


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """One version with its manifest read; its files are read when asked for."""

    manifest: Manifest
    folder: Path

    def read(self, file: str) -> bytes:
        """The bytes of a listed file, read once and equal to the promise, or FileMismatch."""
        promised = self.manifest.artefacts().get(file)
        if promised is None:
            raise FileMismatch(f"{self.folder / MANIFEST_FILE} does not list {file!r}")
        try:
            data = read_regular_file(self.folder, file, max_bytes=promised.bytes)
        except OSError as error:
            raise FileMismatch(f"{self.folder / file}: {explain(error)}") from error
        _check(data, promised, str(self.folder / file))
        return data

    def verify(self) -> None:
        """Reads every listed file; raises FileMismatch at the first that is not as promised."""
        for file in self.manifest.artefacts():
            self.read(file)


class Catalog:
    """The models below one root folder."""

    def __init__(self, root: Path = DEFAULT_ROOT) -> None:
        self.root = root

    def list(self) -> tuple[ModelRef, ...]:
        """Every version there is, by name and number; ModelNotFound if the root is no folder.

        Other files and folders are ignored, links and unfinished publishes among them.
        """
        if not self.root.is_dir():
            raise ModelNotFound(f"there is no model folder {self.root}")
        names = [entry.name for entry in _real_folders(self.root) if _NAME.fullmatch(entry.name)]
        return tuple(sorted(ref for name in names for ref in self._versions(name)))

    def open(self, name: str, version: int | None = None) -> PublishedModel:
        """This version of the model, or its newest; raises ModelNotFound or ManifestInvalid."""
        versions = {ref.version: ref for ref in self._versions(name)}
        if not versions:
            raise ModelNotFound(f"no model {name!r} in {self.root} (links are not followed)")
        chosen = versions.get(max(versions) if version is None else version)
        if chosen is None:
            known = ", ".join(map(str, sorted(versions)))
            raise ModelNotFound(f"no version {version} of {name} in {self.root}; there is {known}")
        manifest = read_manifest(chosen.folder / MANIFEST_FILE)
        if (manifest.name, manifest.version) != (chosen.name, chosen.version):
            raise ManifestInvalid(
                f"{chosen.folder / MANIFEST_FILE}: name and version say "
                f"{manifest.name}/{manifest.version}, the folder {chosen.name}/{chosen.version}"
            )
        return PublishedModel(manifest, chosen.folder)

    def next_version(self, name: str) -> int:
        """The number that a new publish of this model should take; 1 for a new model."""
        return max((ref.version for ref in self._versions(name)), default=0) + 1

    def publish(self, manifest: Manifest, files: Mapping[str, bytes]) -> Path:
        """Writes a new version, all or nothing, and returns its folder.

        `files` holds exactly what the manifest lists (FileMismatch otherwise). The version appears
        by a rename once everything is on the disk; AlreadyPublished if it exists by then.
        """
        text = manifest.model_dump_json(indent=2, exclude_none=True).encode() + b"\n"
        # a manifest changed by copying was not validated: publish only what can be read again
        parse_manifest(text, f"manifest of {manifest.name}")
        _check_complete(manifest, files)
        home = self.root / manifest.name
        if home.is_symlink():
            raise ModelZooError(f"{home} is a symbolic link, which is never followed")
        target = home / str(manifest.version)
        if target.exists():
            raise _already(target)
        home.mkdir(parents=True, exist_ok=True)
        # the leading dot hides the unfinished folder from every reader
        workplace = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".partial", dir=home))
        try:
            _fill(workplace, files, text)
            _rename(workplace, target)
        except BaseException:
            shutil.rmtree(workplace, ignore_errors=True)
            raise
        sync_folder(home)
        return target

    def _versions(self, name: str) -> tuple[ModelRef, ...]:
        # names come from requests: what does not look like one never becomes a path
        if not _NAME.fullmatch(name) or (self.root / name).is_symlink():
            return ()
        return tuple(
            ModelRef(name, int(entry.name), Path(entry.path))
            for entry in _real_folders(self.root / name)
            if _VERSION.fullmatch(entry.name)
        )


def _real_folders(parent: Path) -> list[os.DirEntry[str]]:
    """The folders in `parent`, links to folders excepted; none if it is itself no folder."""
    try:
        with os.scandir(parent) as entries:
            return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _check(data: bytes, promised: ArtefactFile, where: str) -> None:
    if len(data) != promised.bytes:
        raise FileMismatch(f"{where} has {len(data)} bytes, its manifest says {promised.bytes}")
    found = hashlib.sha256(data).hexdigest()
    if found != promised.sha256:
        raise FileMismatch(
            f"{where} is not the published file: sha256 {found}, its manifest says "
            f"{promised.sha256}; restore it or publish a new version"
        )


def _check_complete(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    promised = manifest.artefacts()
    if promised.keys() != files.keys():
        missing, unlisted = sorted(promised.keys() - files), sorted(files.keys() - promised)
        raise FileMismatch(f"{manifest.name}: not given {missing}, not listed {unlisted}")
    for file, entry in promised.items():
        _check(files[file], entry, file)


def _fill(folder: Path, files: Mapping[str, bytes], manifest: bytes) -> None:
    for file, data in files.items():
        write_durably(folder / file, data)
    write_durably(folder / MANIFEST_FILE, manifest)
    folder.chmod(0o755)  # mkdtemp keeps others out; a server often runs as another user
    sync_folder(folder)


def _rename(workplace: Path, target: Path) -> None:
    try:
        workplace.rename(target)
    except OSError as error:
        # another publisher was faster: a rename never replaces a folder that holds something
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
            raise _already(target) from error
        raise


def _already(target: Path) -> AlreadyPublished:
    return AlreadyPublished(f"{target} exists, and a published version is never overwritten")
