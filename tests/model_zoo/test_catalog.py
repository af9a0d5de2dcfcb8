"""The catalog serves exactly what was published, and publishes all or nothing."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from model_zoo.catalog import DEFAULT_ROOT, Catalog, PublishedModel
from model_zoo.errors import (
    AlreadyPublished,
    FileMismatch,
    ManifestInvalid,
    ModelNotFound,
    ModelZooError,
)
from model_zoo.manifest import ArtefactFile, Manifest
from tests.model_zoo.samples import image_model, text_model


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "zoo")


@pytest.fixture
def published(catalog: Catalog) -> PublishedModel:
    catalog.publish(*image_model())
    return catalog.open("tiny")


def found(catalog: Catalog) -> list[tuple[str, int]]:
    return [(ref.name, ref.version) for ref in catalog.list()]


class Steps(Mapping[str, bytes]):
    """Files to publish, with a test's own `between` run before each of them is written."""

    def __init__(self, files: Mapping[str, bytes], between: Callable[[str], None]) -> None:
        self._files, self._between, self._checked = files, between, set[str]()

    def __getitem__(self, file: str) -> bytes:
        # the catalog reads each file twice: to check all of them, then to write them
        if file in self._checked:
            self._between(file)
        self._checked.add(file)
        return self._files[file]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# open and read


def test_a_published_model_is_read_back_byte_for_byte(catalog: Catalog) -> None:
    manifest, files = text_model()
    folder = catalog.publish(manifest, files)
    model = catalog.open("words")
    assert (model.manifest, model.folder) == (manifest, folder)
    assert {file: model.read(file) for file in files} == files
    model.verify()


def test_open_takes_the_newest_version_by_number_not_by_letter(catalog: Catalog) -> None:
    for version in (2, 10, 9):
        catalog.publish(*image_model(version=version))
    assert catalog.open("tiny").manifest.version == 10
    assert catalog.open("tiny", 9).manifest.version == 9


def test_an_unknown_version_is_answered_with_those_there_are(catalog: Catalog) -> None:
    for version in (1, 3):
        catalog.publish(*image_model(version=version))
    with pytest.raises(ModelNotFound, match=r"no version 2 of tiny .* there is 1, 3"):
        catalog.open("tiny", 2)


@pytest.mark.parametrize("name", ["other", "", ".", "..", "../zoo/tiny", "tiny/1", "tiny\0", "/"])
def test_an_unknown_or_impossible_name_is_not_found(
    catalog: Catalog, published: PublishedModel, name: str
) -> None:
    with pytest.raises(ModelNotFound, match="no model"):
        catalog.open(name)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"grapH", "sha256 .* its manifest says"),
        (b"grap", "has 4 bytes, its manifest says 5"),
        (b"graphs", "more than 5 bytes"),
        (b"", "has 0 bytes"),
    ],
)
def test_a_changed_file_is_refused(published: PublishedModel, data: bytes, words: str) -> None:
    (published.folder / "model.onnx").write_bytes(data)
    with pytest.raises(FileMismatch, match=rf"model\.onnx.*{words}"):
        published.read("model.onnx")
    with pytest.raises(FileMismatch, match=r"model\.onnx"):
        published.verify()


def test_a_missing_file_is_refused(published: PublishedModel) -> None:
    (published.folder / "config.json").unlink()
    with pytest.raises(FileMismatch, match=r"config\.json: No such file"):
        published.verify()


@pytest.mark.parametrize("file", ["notes.txt", "../../outside", "manifest.json", "", "."])
def test_a_file_that_the_manifest_does_not_list_does_not_exist(
    published: PublishedModel, file: str
) -> None:
    (published.folder / "notes.txt").write_bytes(b"extra")
    published.verify()
    with pytest.raises(FileMismatch, match="does not list"):
        published.read(file)


def test_a_link_is_refused_even_to_the_very_same_bytes(published: PublishedModel) -> None:
    file = published.folder / "model.onnx"
    file.rename(published.folder / "elsewhere.onnx")
    file.symlink_to("elsewhere.onnx")
    with pytest.raises(FileMismatch, match="symbolic link"):
        published.read("model.onnx")


@pytest.mark.timeout(10)
def test_a_pipe_in_place_of_a_file_is_refused_without_waiting_for_a_writer(
    published: PublishedModel,
) -> None:
    (published.folder / "model.onnx").unlink()
    os.mkfifo(published.folder / "model.onnx")
    with pytest.raises(FileMismatch, match="not a regular file"):
        published.read("model.onnx")


def test_a_name_that_leads_out_of_the_folder_is_refused_whatever_let_it_through(
    catalog: Catalog, published: PublishedModel
) -> None:
    (published.folder.parent / "outside").write_bytes(b"graph")
    promised = published.manifest.artefacts()["model.onnx"]
    escape = ArtefactFile.model_construct(
        file="../outside", bytes=promised.bytes, sha256=promised.sha256
    )
    manifest = published.manifest.model_copy(update={"files": (escape,)})
    with pytest.raises(FileMismatch, match="not a plain file name"):
        PublishedModel(manifest, published.folder).read("../outside")


def test_a_folder_under_another_name_or_number_is_refused(catalog: Catalog) -> None:
    folder = catalog.publish(*image_model())
    folder.rename(folder.with_name("2"))
    with pytest.raises(ManifestInvalid, match="say tiny/1, the folder tiny/2"):
        catalog.open("tiny")


# list


def test_the_list_is_sorted_by_name_and_then_by_number(catalog: Catalog) -> None:
    for name, version in (("b", 10), ("b", 9), ("a", 1)):
        catalog.publish(*image_model(name, version))
    assert found(catalog) == [("a", 1), ("b", 9), ("b", 10)]


def test_what_is_no_version_folder_is_ignored(catalog: Catalog, published: PublishedModel) -> None:
    for stranger in ("__pycache__/1", ".hidden/1", "tiny/01", "tiny/0", "tiny/-1", "tiny/1.0"):
        (catalog.root / stranger).mkdir(parents=True)
    for stranger in ("tiny/latest", "tiny/.2-x.partial", "tiny/٣", "empty", "tiny/1 "):
        (catalog.root / stranger).mkdir(parents=True)
    (catalog.root / "tiny" / "7").write_text("a file")
    (catalog.root / "catalog.py").write_text("")
    assert found(catalog) == [("tiny", 1)]
    assert catalog.next_version("tiny") == 2


def test_links_to_models_and_versions_are_not_followed(
    catalog: Catalog, published: PublishedModel
) -> None:
    (catalog.root / "alias").symlink_to("tiny")
    (catalog.root / "tiny" / "2").symlink_to("1")
    assert found(catalog) == [("tiny", 1)]
    with pytest.raises(ModelNotFound):
        catalog.open("alias")
    with pytest.raises(ModelNotFound):
        catalog.open("tiny", 2)


def test_a_folder_that_became_a_link_after_opening_is_refused(published: PublishedModel) -> None:
    moved = published.folder.with_name("moved")
    published.folder.rename(moved)
    published.folder.symlink_to(moved)
    with pytest.raises(FileMismatch):
        published.read("model.onnx")


def test_a_root_that_does_not_exist_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="there is no model folder"):
        Catalog(tmp_path / "typo").list()


def test_the_package_itself_is_the_default_catalog() -> None:
    assert Catalog().root == DEFAULT_ROOT
    assert (DEFAULT_ROOT / "catalog.py").is_file()


def test_every_model_in_the_repository_is_as_published() -> None:
    catalog = Catalog()
    for ref in catalog.list():
        catalog.open(ref.name, ref.version).verify()


# publish


def test_a_published_version_is_never_overwritten(
    catalog: Catalog, published: PublishedModel
) -> None:
    with pytest.raises(AlreadyPublished, match="never overwritten"):
        catalog.publish(*image_model(data=b"other"))
    assert published.read("model.onnx") == b"graph"
    assert everything_below(catalog.root) == [
        "tiny",
        "tiny/1",
        "tiny/1/config.json",
        "tiny/1/manifest.json",
        "tiny/1/model.onnx",
    ]


def test_an_empty_folder_of_that_number_is_left_alone_too(catalog: Catalog) -> None:
    (catalog.root / "tiny" / "1").mkdir(parents=True)
    with pytest.raises(AlreadyPublished):
        catalog.publish(*image_model())
    assert everything_below(catalog.root) == ["tiny", "tiny/1"]


def test_a_publisher_who_loses_the_race_leaves_the_winner_alone(catalog: Catalog) -> None:
    manifest, files = image_model(data=b"loser")

    def be_overtaken(file: str) -> None:
        if file == "config.json":
            catalog.publish(*image_model(data=b"winner"))

    with pytest.raises(AlreadyPublished):
        catalog.publish(manifest, Steps(files, be_overtaken))
    assert catalog.open("tiny").read("model.onnx") == b"winner"
    assert not list((catalog.root / "tiny").glob(".*"))


def test_a_publish_that_fails_half_way_leaves_nothing_behind(catalog: Catalog) -> None:
    manifest, files = image_model()
    half: list[str] = []

    def fail_at_the_second_file(file: str) -> None:
        if file == "config.json":
            half.extend(everything_below(catalog.root / "tiny"))
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        catalog.publish(manifest, Steps(files, fail_at_the_second_file))
    assert any(path.endswith("model.onnx") for path in half)
    assert everything_below(catalog.root) == ["tiny"]


def test_an_unfinished_publish_cannot_be_seen(catalog: Catalog) -> None:
    manifest, files = image_model()
    seen: list[list[tuple[str, int]]] = []
    folders: list[str] = []

    def look(file: str) -> None:
        seen.append(found(catalog))
        folders.extend(path.name for path in (catalog.root / "tiny").iterdir())

    catalog.publish(manifest, Steps(files, look))
    assert seen == [[], []]
    # git and the packager know unfinished folders by this pattern
    assert all(name.startswith(".") and name.endswith(".partial") for name in folders)
    assert found(catalog) == [("tiny", 1)]


@pytest.mark.parametrize(
    "change",
    [{"model.onnx": b"other"}, {"model.onnx": None}, {"notes.txt": b"more"}],
    ids=["changed", "missing", "unlisted"],
)
def test_files_that_are_not_what_the_manifest_says_are_not_published(
    catalog: Catalog, change: dict[str, bytes | None]
) -> None:
    manifest, files = image_model()
    given = {file: data for file, data in (files | change).items() if data is not None}
    with pytest.raises(FileMismatch, match=next(iter(change))):
        catalog.publish(manifest, given)
    assert not catalog.root.exists()


def test_a_manifest_too_large_to_be_read_again_is_not_published(catalog: Catalog) -> None:
    manifest, files = image_model()
    large = manifest.model_copy(update={"description": "x" * (1 << 20)})
    with pytest.raises(ManifestInvalid, match="tiny: more than"):
        catalog.publish(large, files)
    assert not catalog.root.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "../../tiny"}, "name"),
        ({"variants": ()}, "variants"),
        ({"labels": ("cat", "cat")}, "labels"),
    ],
)
def test_a_manifest_that_could_not_be_read_again_is_not_published(
    catalog: Catalog, change: dict[str, object], field: str
) -> None:
    manifest, files = image_model()
    with pytest.raises(ManifestInvalid, match=f"{field}: "):
        catalog.publish(manifest.model_copy(update=change), files)
    assert not catalog.root.exists()


def test_nothing_is_published_through_a_link(catalog: Catalog, tmp_path: Path) -> None:
    catalog.root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (catalog.root / "tiny").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelZooError, match="symbolic link"):
        catalog.publish(*image_model())
    assert not list((tmp_path / "elsewhere").iterdir())


def test_other_users_may_read_what_was_published(published: PublishedModel) -> None:
    assert stat.S_IMODE(published.folder.stat().st_mode) == 0o755
    for file in published.folder.iterdir():
        assert file.stat().st_mode & stat.S_IROTH


def test_version_numbers_follow_each_other_from_one(catalog: Catalog) -> None:
    assert catalog.next_version("tiny") == 1
    catalog.publish(*image_model(version=4))
    assert catalog.next_version("tiny") == 5
    assert catalog.next_version("other") == 1


def test_the_manifest_on_disk_is_readable_json_without_empty_fields(
    published: PublishedModel,
) -> None:
    text = (published.folder / "manifest.json").read_text()
    assert "null" not in text
    assert text.startswith('{\n  "schema_version": 1,')
    assert Manifest.model_validate_json(text) == published.manifest
