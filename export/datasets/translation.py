"""Sentences with their translations: captions, everyday sentences, chat and news.

Each loader gives its splits by name, and reads any two of the languages that are there.
"""

from pathlib import Path

from export.datasets.errors import DatasetUnreadable
from export.datasets.lines import columns_of, first_existing, header_of, lines_of
from export.datasets.rows import SentencePairs
from export.datasets.sources import (
    CHAT,
    MULTI30K,
    TATOEBA,
    WMT_NEWS,
    KnownDataset,
    folders_of,
    missing,
    origin_of,
)
from export.datasets.splits import carve_pairs

Splits = dict[str, SentencePairs]
MULTI30K_SPLITS = (
    "train",
    "val",
    "test_2016_flickr",
    "test_2017_flickr",
    "test_2017_mscoco",
    "test_2018_flickr",
)
TATOEBA_SPLITS = {"train": "train", "dev": "dev", "test": "test_v2021-08-07"}
LONG_CODES = {"de": "deu", "fr": "fra", "es": "spa", "it": "ita", "pt": "por", "nl": "nld"}
CARVED_ROWS = 2000
CARVING_SEED = 2021


def load_multi30k(root: Path | None, source: str = "en", target: str = "de") -> Splits:
    """Two aligned files a split, `train.en.gz` and `train.de.gz` and so on, plain or packed."""
    for folder in folders_of(MULTI30K, root):
        if first_existing(folder, f"train.{source}") and first_existing(folder, f"train.{target}"):
            found = {name: _aligned(folder, name, source, target) for name in MULTI30K_SPLITS}
            return {name: pairs for name, pairs in found.items() if pairs is not None}
    raise missing(MULTI30K, root, f"train.{source}.gz and train.{target}.gz")


def load_tatoeba(root: Path | None, source: str = "en", target: str = "de") -> Splits:
    """`train`, `dev` and `test` from tab-separated files, or carved from a manythings.org list.

    No sentence of the carved splits is in `train`, on either side.
    """
    for folder in folders_of(TATOEBA, root):
        files = {
            split: _pair_file(folder, f"{name}.", source, target)
            for split, name in TATOEBA_SPLITS.items()
        }
        if files["train"]:
            return {
                split: _columns(TATOEBA, split, path, source, target)
                for split, path in files.items()
                if path
            }
        listing = _manythings_file(folder, source, target)
        if listing:
            pairs = _read_manythings(listing, source, target)
            return carve_pairs(pairs, {"dev": CARVED_ROWS, "test": CARVED_ROWS}, CARVING_SEED)
    raise missing(TATOEBA, root, f"train.{source}-{target}.tsv or {LONG_CODES.get(target)}.txt")


def load_chat(root: Path | None, source: str = "en", target: str = "de") -> Splits:
    """`train` and `dev`, customer-service dialogues in order."""
    for folder in folders_of(CHAT, root):
        files = {s: _pair_file(folder, f"{s}.", source, target) for s in ("train", "dev")}
        # the columns tell it from other lists of pairs with the same file names
        if files["train"] and "original" in header_of(files["train"]):
            return {
                split: _columns(CHAT, split, path, source, target)
                for split, path in files.items()
                if path
            }
    raise missing(CHAT, root, f"train.{source}-{target}.tsv with the column original")


def load_wmt_news(root: Path | None, source: str = "en", target: str = "de") -> Splits:
    """One split a test set: `newstest2013`, `newstest2014` and so on."""
    for folder in folders_of(WMT_NEWS, root):
        path = _pair_file(folder, "", source, target)
        if path:
            return _by_set(path, source, target)
    raise missing(WMT_NEWS, root, f"{source}-{target}.tsv with the column set")


def _aligned(folder: Path, split: str, source: str, target: str) -> SentencePairs | None:
    paths = first_existing(folder, f"{split}.{source}"), first_existing(folder, f"{split}.{target}")
    if not paths[0] or not paths[1]:
        return None
    sources, targets = list(lines_of(paths[0])), list(lines_of(paths[1]))
    if len(sources) != len(targets):
        raise DatasetUnreadable(
            f"{paths[0]} has {len(sources)} lines, {paths[1]} {len(targets)}: not aligned"
        )
    origin = origin_of(MULTI30K, split, [paths[0], paths[1]], len(sources))
    return SentencePairs(sources, targets, (source, target), (origin,))


def _pair_file(folder: Path, prefix: str, source: str, target: str) -> Path | None:
    """A file of pairs, whichever language its name puts first."""
    names = (f"{prefix}{source}-{target}.tsv", f"{prefix}{target}-{source}.tsv")
    return first_existing(folder, *names)


def _columns(
    known: KnownDataset, split: str, path: Path, source: str, target: str
) -> SentencePairs:
    sources, targets = columns_of(path, source, target)
    origin = origin_of(known, split, [path], len(sources))
    return SentencePairs(sources, targets, (source, target), (origin,))


def _by_set(path: Path, source: str, target: str) -> Splits:
    rows: dict[str, tuple[list[str], list[str]]] = {}
    for name, *sentences in zip(*columns_of(path, "set", source, target), strict=True):
        for column, sentence in zip(rows.setdefault(name, ([], [])), sentences, strict=True):
            column.append(sentence)
    return {
        name: SentencePairs(
            sources,
            targets,
            (source, target),
            (origin_of(WMT_NEWS, name, [path], len(sources)),),
        )
        for name, (sources, targets) in rows.items()
    }


def _manythings_file(folder: Path, source: str, target: str) -> Path | None:
    other = target if source == "en" else source
    if "en" not in (source, target) or other not in LONG_CODES:
        return None
    return first_existing(folder, f"{LONG_CODES[other]}.txt")


def _read_manythings(path: Path, source: str, target: str) -> SentencePairs:
    """Columns without a header: English, the other language and, in newer lists, the authors."""
    english, other = [], []
    for number, line in enumerate(lines_of(path), start=1):
        fields = line.split("\t")
        if len(fields) < 2:
            raise DatasetUnreadable(f"{path}:{number}: one field, expected two sentences")
        english.append(fields[0])
        other.append(fields[1])
    sources, targets = (english, other) if source == "en" else (other, english)
    origin = origin_of(TATOEBA, "all", [path], len(sources))
    return SentencePairs(sources, targets, (source, target), (origin,))
