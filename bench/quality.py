"""Quality as a client sees it: sends whole test splits to a running server and scores the answers.

    slipway serve &
    python bench/quality.py                 # all data sets that are there
    python bench/quality.py --only cifar10 --most 1000

Needs the data sets (SLIPWAY_DATA) and the packages of the `export` extra for reading them and for
sacreBLEU. Prints a table and, with --json, the same as JSON.
"""

import argparse
import http.client
import io
import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from export.datasets import cifar10
from export.datasets.errors import DatasetError, DatasetMissing
from export.datasets.rows import SentencePairs
from export.datasets.sentiment import load_imdb, load_sst2
from export.datasets.sources import data_root
from export.datasets.translation import load_multi30k, load_tatoeba
from export.scores import bleu, bleu_signature, chrf


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    dataset: str
    metric: str
    value: float
    items: int
    model: str
    variant: str


class Client:
    """One keep-alive connection a thread to one server."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._local = threading.local()

    def post(self, path: str, body: bytes, kind: str) -> dict[str, Any]:
        """The JSON answer; RuntimeError with the server's own words for any other status."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=120)
            self._local.connection = connection
        connection.request("POST", path, body, {"Content-Type": kind})
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {content[:300]!r}")
        answer: dict[str, Any] = json.loads(content)
        return answer


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the figures; exit code 1 where there is nothing to measure with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=RAW)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the running server")
    parser.add_argument("--only", choices=sorted(DATASETS), help="one data set instead of all")
    parser.add_argument("--most", type=int, default=0, help="only so many items of each set")
    parser.add_argument("--clients", type=int, default=8, help="connections at once (default: 8)")
    parser.add_argument("--beam", type=int, default=1, help="beam of translation (default: 1)")
    parser.add_argument(
        "--languages", default="en-de", help="direction of translation (default: en-de)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = parser.parse_args(arguments)
    try:
        figures = _measure(Client(chosen.url), chosen)
    except DatasetError as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    _show(figures, as_json=chosen.json)
    return 0


def _measure(client: Client, chosen: argparse.Namespace) -> list[Figure]:
    """Who names a data set gets its figures or an error; of all of them, those that are here."""
    if chosen.only:
        return DATASETS[chosen.only](client, chosen)
    figures: list[Figure] = []
    for measure in DATASETS.values():
        try:
            figures += measure(client, chosen)
        except DatasetMissing as error:
            print(f"left out: {error}", file=sys.stderr)
    if not figures:
        raise DatasetMissing("no data set is here; SLIPWAY_DATA names the folder that holds them")
    return figures


def _cifar10(client: Client, chosen: argparse.Namespace) -> list[Figure]:
    test = cifar10.load(data_root()).test
    images = [_png(image) for image in test.images[: chosen.most or None]]
    answers = _ask(
        lambda image: client.post("/v1/classify?top_k=1", image, "image/png"),
        images,
        "CIFAR-10",
        chosen.clients,
    )
    labels = [test.names[label] for label in test.labels]
    return [_accuracy("CIFAR-10 test", answers, labels)]


def _imdb(client: Client, chosen: argparse.Namespace) -> list[Figure]:
    test = load_imdb(data_root()).test
    return _sentiment(client, chosen, "IMDB test", test.texts, [test.names[i] for i in test.labels])


def _sst2(client: Client, chosen: argparse.Namespace) -> list[Figure]:
    test = load_sst2(data_root()).test
    if test is None:
        raise DatasetMissing("SST-2: the labels of its test split are not here")
    labels = [test.names[i] for i in test.labels]
    return _sentiment(client, chosen, "SST-2 test", test.texts, labels)


def _sentiment(
    client: Client,
    chosen: argparse.Namespace,
    title: str,
    texts: Sequence[str],
    labels: Sequence[str],
) -> list[Figure]:
    count = chosen.most or len(texts)
    if count < len(texts):  # the splits are sorted by class
        step = len(texts) // count
        texts, labels = texts[::step][:count], labels[::step][:count]
    answers = _ask(_text_asker(client, "/v1/sentiment", {}), texts, title, chosen.clients)
    return [_accuracy(title, answers, labels)]


def _multi30k(client: Client, chosen: argparse.Namespace) -> list[Figure]:
    splits = load_multi30k(data_root(), *_languages(chosen))
    return _translation(client, chosen, "Multi30k test_2016_flickr", splits, "test_2016_flickr")


def _tatoeba(client: Client, chosen: argparse.Namespace) -> list[Figure]:
    splits = load_tatoeba(data_root(), *_languages(chosen))
    return _translation(client, chosen, "Tatoeba test v2021-08-07", splits, "test")


def _languages(chosen: argparse.Namespace) -> tuple[str, str]:
    source, _, target = chosen.languages.partition("-")
    return source, target


def _translation(
    client: Client,
    chosen: argparse.Namespace,
    title: str,
    splits: Mapping[str, SentencePairs],
    split: str,
) -> list[Figure]:
    if split not in splits:
        raise DatasetMissing(f"{title}: this split is not here, only {', '.join(splits)}")
    sources, references = splits[split].sources, splits[split].targets
    count = chosen.most or len(sources)
    source, target = _languages(chosen)
    more = {"source": source, "target": target, "beam": chosen.beam}
    asker = _text_asker(client, "/v1/translate", more)
    answers = _ask(asker, sources[:count], title, chosen.clients)
    texts = [result["text"] for answer in answers for result in answer["results"]]
    model, variant = answers[0]["model"], answers[0]["variant"]
    return [
        Figure(title, name, metric(texts, references[:count]), count, model, variant)
        for name, metric in (("bleu", bleu), ("chrf", chrf))
    ]


def _text_asker(client: Client, path: str, more: dict[str, Any]) -> Callable[[str], dict[str, Any]]:
    return lambda text: client.post(
        path, json.dumps({"text": text, **more}).encode(), "application/json"
    )


def _ask(
    asker: Callable[[Any], dict[str, Any]], items: Sequence[Any], title: str, clients: int
) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(clients) as pool:
        answers = pool.map(asker, items)
        return list(track(answers, title, total=len(items), console=Console(stderr=True)))


def _accuracy(title: str, answers: Sequence[dict[str, Any]], labels: Sequence[str]) -> Figure:
    found = [answer["results"][0]["label"] for answer in answers]
    right = sum(a == b for a, b in zip(found, labels[: len(found)], strict=True))
    first = answers[0]
    value = 100 * right / len(found)
    return Figure(title, "accuracy", value, len(found), first["model"], first["variant"])


def _png(image: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(image).save(target, "PNG", compress_level=1)
    return target.getvalue()


def _show(figures: Sequence[Figure], *, as_json: bool) -> None:
    if as_json:
        rows = [asdict(figure) for figure in figures]
        print(json.dumps({"figures": rows, "sacrebleu": bleu_signature()}, indent=2))
        return
    table = Table("data set", "metric", "value", "items", "model", "variant")
    for f in figures:
        table.add_row(f.dataset, f.metric, f"{f.value:.2f}", str(f.items), f.model, f.variant)
    Console().print(table, f"sacreBLEU signature: {bleu_signature()}")


RAW = argparse.RawDescriptionHelpFormatter
DATASETS = {
    "cifar10": _cifar10,
    "imdb": _imdb,
    "sst2": _sst2,
    "multi30k": _multi30k,
    "tatoeba": _tatoeba,
}

if __name__ == "__main__":
    sys.exit(main())
