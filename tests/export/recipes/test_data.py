"""Which rows each recipe takes for training, for choosing and for the final figures."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from export.console import Story
from export.datasets.errors import DatasetMissing, DatasetUnreadable
from export.datasets.generated import shapes
from export.datasets.rows import LabelledImages
from export.options import Options
from export.recipes import image_data, sentiment_data, translation_data
from model_zoo.manifest import ImageInput

STORY = Story("test")
SIZE = ImageInput(
    height=32, width=32, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bilinear", fit="squash"
)


def options(data: Path | None, *, quick: bool = False, **more: Any) -> Options:
    nowhere = Path("nowhere")
    return Options(nowhere, nowhere, data=data, quick=quick, **more)


def write_reviews(folder: Path) -> None:
    """Both public data sets, tiny; one review stands in both halves."""
    for split, count in (("train", 40), ("test", 10)):
        rows = [{"text": f"{split} review {i}", "label": i % 2} for i in range(count)]
        rows.append({"text": "in both halves", "label": 1})
        (folder / "imdb").mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "imdb" / f"{split}.jsonl").write_text(lines)
    (folder / "sst2").mkdir()
    for name, count in (("train", 12), ("dev", 6), ("test", 8), ("phrases_train", 30)):
        lines = "".join(f"{name} phrase {i}\t{i % 2}\n" for i in range(count))
        (folder / "sst2" / f"{name}.tsv").write_text("sentence\tlabel\n" + lines)


def texts(parts: Sequence[tuple[str, Any]]) -> set[str]:
    return {text for _, rows in parts for text in rows.texts}


def test_no_review_is_tested_that_was_trained_on_or_chosen_by(tmp_path: Path) -> None:
    write_reviews(tmp_path)
    data = sentiment_data.load(options(tmp_path), STORY)
    trained, chosen, tested = set(data.train.texts), texts(data.validation), texts(data.test)
    assert data.is_public
    assert not trained & tested
    assert not trained & chosen
    assert "in both halves" in tested
    assert [name for name, _ in data.test] == ["IMDB", "SST-2"]
    assert {text.rsplit(" ", 1)[0] for text in tested} >= {"test review", "test phrase"}
    assert {text.rsplit(" ", 1)[0] for text in trained} == {"train review", "phrases_train phrase"}


def test_a_trial_takes_a_few_real_reviews_and_sentences(tmp_path: Path) -> None:
    write_reviews(tmp_path)
    data = sentiment_data.load(options(tmp_path, quick=True), STORY)
    assert not data.is_public
    assert len(data.train) <= 2 * sentiment_data.QUICK_TRAIN
    assert not set(data.train.texts) & texts(data.test)
    assert len(data.sources) > 2


def test_own_opinions_are_split_by_class_and_nothing_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    lines = "".join(f"text {i},{'abc'[i % 3]}\n" for i in range(60))
    file.write_text("text,label\n" + lines)
    data = sentiment_data.load(options(file), STORY)
    parts = [set(data.train.texts), texts(data.validation), texts(data.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 60
    (_, tested), (_, chosen) = data.test[0], data.validation[0]
    assert np.bincount(tested.labels).tolist() == [3, 3, 3]
    assert np.bincount(chosen.labels).tolist() == [2, 2, 2]
    assert set(data.for_vocabulary) == parts[0]


def write_pairs(folder: Path) -> None:
    """Both public data sets, tiny."""
    (folder / "multi30k").mkdir(parents=True)
    for split, count in (("train", 30), ("val", 12), ("test_2016_flickr", 8)):
        for language in ("en", "de"):
            lines = "".join(f"{split} {i} {language}\n" for i in range(count))
            name = f"{split}.{language}.gz"
            (folder / "multi30k" / name).write_bytes(gzip.compress(lines.encode()))
    (folder / "tatoeba").mkdir()
    for name, count in (("train", 40), ("dev", 1100), ("test_v2021-08-07", 9)):
        lines = "".join(f"{name} {i} en\t{name} {i} de\n" for i in range(count))
        (folder / "tatoeba" / f"{name}.en-de.tsv").write_text("en\tde\n" + lines)


def test_captions_are_seen_more_often_and_no_test_sentence_ever(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    data = translation_data.load(options(tmp_path), STORY)
    assert data.is_public
    copies = translation_data.CAPTION_COPIES
    assert len(data.train) == 40 + copies * 30
    assert data.train.sources.count("train 3 en") == 1 + copies  # a caption and a sentence
    assert len(data.validation) == translation_data.VALIDATION_PAIRS + 12
    assert [(name, len(pairs)) for name, _, pairs in data.test] == [("Multi30k", 8), ("Tatoeba", 9)]
    tested = {source for _, _, pairs in data.test for source in pairs.sources}
    assert not tested & {*data.train.sources, *data.validation.sources, *data.for_vocabulary}


def test_who_begins_with_a_translator_has_no_closing_rounds(
    tmp_path: Path,
) -> None:
    write_pairs(tmp_path)
    data = translation_data.load(
        options(tmp_path, origin="en-de-transformer", languages=("de", "en")), STORY
    )
    assert len(data.train) == 40 + translation_data.CAPTION_COPIES * 30
    assert data.closing == ()


def test_closing_epochs_are_mostly_captions_with_each_half_of_the_rest_in_turn_then_all_alike(
    tmp_path: Path,
) -> None:
    write_pairs(tmp_path)
    data = translation_data.load(options(tmp_path), STORY)
    mostly_captions, whole = data.closing
    assert len(mostly_captions) == translation_data.CLOSING_EPOCHS
    assert len(whole) == translation_data.LAST_EPOCHS
    everyday, once = (Counter(f"train {i} de" for i in range(n)) for n in (40, 30))
    assert all(Counter(pairs.targets) == everyday + once for pairs in whole)
    captions = {f"train {i} de" for i in range(30)} - {f"train {i} de" for i in range(30, 40)}
    halves = []
    for pairs in mostly_captions:
        assert len(pairs) == 20 + 30 * translation_data.CLOSING_COPIES
        seen = Counter(pairs.targets)
        assert set(seen) <= set(data.train.targets)
        assert all(seen[caption] >= translation_data.CLOSING_COPIES for caption in captions)
        halves.append(seen - Counter(translation_data.CLOSING_COPIES * sorted(captions)))
    assert halves[0] == halves[2]
    assert halves[0] + halves[1] == Counter(f"train {i} de" for i in range(40))


def write_other_kinds(folder: Path) -> None:
    """News of two years, and chats."""
    (folder / "wmt_news").mkdir()
    rows = [
        f"newstest{year}\tnews {year} {i} en\tnews {year} {i} de"
        for year in (2013, 2014)
        for i in range(5)
    ]
    (folder / "wmt_news" / "en-de.tsv").write_text("\n".join(["set\ten\tde", *rows, ""]))
    (folder / "chat_bcontrast").mkdir()
    for name, count in (("train", 6), ("dev", 3)):
        lines = "".join(f"en\tchat {name} {i} en\tchat {name} {i} de\n" for i in range(count))
        file = folder / "chat_bcontrast" / f"{name}.en-de.tsv"
        file.write_text("original\ten\tde\n" + lines)


@pytest.mark.parametrize("languages", [("en", "de"), ("de", "en")])
def test_news_and_chat_are_reported_and_decide_nothing(
    tmp_path: Path, languages: tuple[str, str]
) -> None:
    write_pairs(tmp_path)
    without = translation_data.load(options(tmp_path, languages=languages), STORY)
    write_other_kinds(tmp_path)
    data = translation_data.load(options(tmp_path, languages=languages), STORY)
    told = {(name, split): list(pairs.sources) for name, split, pairs in data.reported}
    assert told == {
        ("WMT news", "newstest2014"): [f"news 2014 {i} {languages[0]}" for i in range(5)],
        ("BConTrasT chat", "dev"): [f"chat dev {i} {languages[0]}" for i in range(3)],
    }
    assert data.measured == (*data.test, *data.reported)
    assert data.train == without.train
    assert data.deciding_sources == without.deciding_sources == without.sources
    assert len(data.sources) == len(data.deciding_sources) + 2


def test_without_news_and_chat_nothing_more_is_reported(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    data = translation_data.load(options(tmp_path), STORY)
    assert data.reported == ()
    assert data.measured == data.test


def test_a_trial_takes_a_few_captions(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    data = translation_data.load(options(tmp_path, quick=True), STORY)
    assert not data.is_public
    assert data.closing == ()
    assert len(data.train) == 30
    assert not set(data.train.sources) & set(data.test[0][2].sources)


def test_own_pairs_come_from_one_table_or_two_aligned_files(tmp_path: Path) -> None:
    rows = [(f"one {i}", f"eins {i}") for i in range(50)]
    table = tmp_path / "pairs.tsv"
    table.write_text("".join(f"{source}\t{target}\n" for source, target in rows))
    sources, targets = tmp_path / "text.en", tmp_path / "text.de"
    sources.write_text("".join(f"{source}\n" for source, _ in rows))
    targets.write_text("".join(f"{target}\n" for _, target in rows))
    from_table = translation_data.load(options(table), STORY)
    from_two = translation_data.load(options(sources, targets=targets), STORY)
    for data in (from_table, from_two):
        assert data.closing == ()
        assert (len(data.train), len(data.validation), len(data.test[0][2])) == (40, 5, 5)
    assert from_table.train.sources == from_two.train.sources
    assert from_table.train.targets == from_two.train.targets


def write_folder(folder: Path, count: int) -> LabelledImages:
    drawn = shapes(count)
    for number, (image, label) in enumerate(zip(drawn.images, drawn.labels, strict=True)):
        file = folder / drawn.names[label] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    return drawn


def test_own_pictures_are_split_and_judged_from_their_own_files(tmp_path: Path) -> None:
    write_folder(tmp_path / "photos", 60)
    data = image_data.load(options(tmp_path / "photos"), SIZE, STORY)
    parts = (data.train, data.validation, data.test)
    files = [file for part in parts for file in part.files]
    assert data.name == "photos"
    assert [len(part) for part in parts] == [40, 10, 10]
    assert len(set(files)) == 60
    assert list(image_data.encoded(data.test)) == [file.read_bytes() for file in data.test.files]


def test_pictures_without_a_file_are_sent_without_loss() -> None:
    drawn = shapes(3)
    for content, image in zip(image_data.encoded(drawn), drawn.images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(content))), image)


def test_the_statistics_of_colours_are_those_of_all_pixels() -> None:
    first, second = shapes(30, seed=1), shapes(7, seed=2)
    pixels = np.concatenate([first.images, second.images]).reshape(-1, 3) / 255
    mean, std = image_data.colour_statistics([first, second])
    assert mean == pytest.approx(pixels.mean(0), abs=1e-4)
    assert std == pytest.approx(pixels.std(0), abs=1e-4)


def test_a_picture_of_one_colour_has_no_spread_to_divide_by_but_never_zero() -> None:
    grey = LabelledImages(np.full((2, 4, 4, 3), 128, np.uint8), np.zeros(2, np.int64), ("a", "b"))
    _, std = image_data.colour_statistics([grey])
    assert min(std) > 0


def test_own_data_are_told_from_a_folder_of_the_public_ones(tmp_path: Path) -> None:
    photos, public, table = tmp_path / "photos", tmp_path / "public", tmp_path / "a.tsv"
    (public / "cifar10").mkdir(parents=True)
    (public / "cifar10" / "data_batch_1.bin").write_bytes(b"")
    photos.mkdir()
    table.write_text("")
    for room, own in (
        (image_data, options(photos)),
        (sentiment_data, options(table)),
        (translation_data, options(table)),
        (translation_data, options(photos, targets=table)),
    ):
        assert room.is_own(own)
    for room in (image_data, sentiment_data, translation_data):
        assert not room.is_own(options(public))
        assert not room.is_own(options(None))


Load = Callable[[Options], Any]
LOADS: dict[str, Load] = {
    "images": lambda options: image_data.load(options, SIZE, STORY),
    "texts": lambda options: sentiment_data.load(options, STORY),
    "pairs": lambda options: translation_data.load(options, STORY),
}


@pytest.mark.parametrize("kind", LOADS)
def test_without_public_data_only_a_trial_makes_up_its_own(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_DATA", str(tmp_path))
    made_up = LOADS[kind](options(None, quick=True))
    assert not made_up.is_public
    assert 500 < len(made_up.train) < 1500
    with pytest.raises(DatasetMissing, match="https://"):
        LOADS[kind](options(None))


@pytest.mark.parametrize("kind", LOADS)
def test_a_folder_without_the_data_is_refused_even_for_a_trial(kind: str, tmp_path: Path) -> None:
    with pytest.raises((DatasetMissing, DatasetUnreadable)):
        LOADS[kind](options(tmp_path, quick=True))


def test_a_class_too_small_to_be_tested_is_no_reason_to_refuse_the_others(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    lines = "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(40))
    file.write_text("text,label\n" + lines + "rare one,c\nrare two,c\n")
    data = sentiment_data.load(options(file), STORY)
    assert data.train.names == ("a", "b", "c")
    assert 2 in data.train.labels
