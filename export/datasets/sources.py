"""Where data sets come from: the folder they are looked for in, their makers, terms and files."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.datasets.errors import DatasetError, DatasetMissing, DatasetUnreadable
from model_zoo.manifest import DatasetSource

CHECKOUT = Path(__file__).resolve().parents[2]
ENVIRONMENT_NAME = "SLIPWAY_DATA"


@dataclass(frozen=True, slots=True)
class KnownDataset:
    """A public data set: its title, the makers' page, the terms they state, its usual folders."""

    title: str
    page: str
    licence: str
    folders: tuple[str, ...]


CIFAR10 = KnownDataset(
    "CIFAR-10",
    "https://www.cs.toronto.edu/~kriz/cifar.html",
    "no licence stated; the makers ask that the technical report (Krizhevsky, 2009) be cited",
    ("cifar10", "cifar-10-batches-bin", "cifar-10-batches-py", "cifar-10"),
)
IMDB = KnownDataset(
    "IMDB Large Movie Review Dataset v1.0",
    "https://ai.stanford.edu/~amaas/data/sentiment/",
    "no licence stated; the makers ask for citation (Maas et al., 2011)",
    ("imdb", "aclImdb"),
)
SST2 = KnownDataset(
    "SST-2",
    "https://gluebenchmark.com/tasks and https://nlp.stanford.edu/sentiment/",
    "no licence stated; the makers ask for citation (Socher et al., 2013)",
    ("sst2", "SST-2", "glue/SST-2"),
)
MULTI30K = KnownDataset(
    "Multi30k",
    "https://github.com/multi30k/dataset",
    "no licence stated for the captions; the pictures follow Flickr's terms, for research",
    ("multi30k", "multi30k/data/task1/raw", "dataset/data/task1/raw", "data/task1/raw"),
)
TATOEBA = KnownDataset(
    "Tatoeba",
    "https://www.manythings.org/anki/ and https://tatoeba.org",
    "CC BY 2.0, www.manythings.org/anki and tatoeba.org; the Challenge's test list CC BY-NC-SA 4.0",
    ("tatoeba", "deu-eng", "fra-eng"),
)
CHAT = KnownDataset(
    "BConTrasT",
    "https://github.com/Unbabel/BConTrasT",
    "CC BY-SA 4.0",
    ("chat_bcontrast", "BConTrasT"),
)
WMT_NEWS = KnownDataset(
    "WMT news test sets",
    "https://www.statmt.org/wmt20/translation-task.html",
    "free for research with citation; other uses to be cleared with the owners",
    ("wmt_news",),
)


def data_root(
    environment: Mapping[str, str] = os.environ, checkout: Path = CHECKOUT
) -> Path | None:
    """The folder of data sets: `SLIPWAY_DATA`, else `../shared/data` next to the checkout."""
    named = environment.get(ENVIRONMENT_NAME)
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise DatasetError(f"{ENVIRONMENT_NAME} names {folder}, which is not a folder")
        return folder
    beside = checkout.parent / "shared" / "data"
    return beside if beside.is_dir() else None


def folders_of(known: KnownDataset, root: Path | None) -> Iterator[Path]:
    """Folders in which the data set may lie, likeliest first; the root itself comes last."""
    if root is not None:
        yield from (root / folder for folder in known.folders if (root / folder).is_dir())
        yield root


def missing(known: KnownDataset, root: Path | None, looked_for: str) -> DatasetMissing:
    """The error for a data set that is not there: what was looked for, where, where to get it."""
    if root is None:
        where = f"no data folder: set {ENVIRONMENT_NAME} to the folder that holds your data sets"
    else:
        names = ", ".join((*known.folders, "the folder itself"))
        where = f"looked in {root} ({names}) for {looked_for}"
    return DatasetMissing(
        f"{known.title} was not found: {where}. Download it from {known.page}, unpack it there "
        f"and run again."
    )


def fingerprint(files: Iterable[Path], folder: Path) -> str:
    """sha256 of the files, hexadecimal: of the bytes for one file, of the list of names and
    digests (sorted by name, relative to `folder`) for several."""
    digests = sorted((path.relative_to(folder).as_posix(), digest_of(path)) for path in files)
    if len(digests) == 1:
        return digests[0][1]
    listing = "".join(f"{digest}  {name}\n" for name, digest in digests)
    return hashlib.sha256(listing.encode()).hexdigest()


def digest_of(path: Path) -> str:
    """sha256 of one file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def origin_of(
    known: KnownDataset, split: str, files: Sequence[Path], rows: int, note: str = ""
) -> DatasetSource:
    """The origin of one split, with the fingerprint of the files it was read from."""
    if not files:
        raise DatasetUnreadable(f"{known.title}: the split {split} names no file")
    folder = Path(os.path.commonpath([path.parent for path in files]))
    source = f"{known.page} ({note})" if note else known.page
    digest = fingerprint(files, folder)
    return DatasetSource(
        name=known.title,
        split=split,
        licence=known.licence,
        source=source,
        sha256=digest,
        rows=rows,
    )
