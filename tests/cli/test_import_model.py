"""`slipway models import` on folders that are right, and on all that may be wrong with one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo.catalog import Catalog
from model_zoo.manifest import Manifest, TranslationInput
from service.cli import main
from service.cli.graph_header import read_header
from tests.optimum_export import write_folder
from tests.runtime.graphs import GraphBuilder
from tests.runtime.reference_decoder import ReferenceDecoder
from tests.runtime.tiny_optimum import LAYOUTS
from tests.runtime.tiny_transformer import EOS, PAD, SPEC, Weights
from tests.tiny_zoo import LETTERS

SENTENCE = "This is the first sentence."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "exported")


def command(folder: Path, *more: str, name: str = "fr") -> list[str]:
    asked = ["--name", name, "--source", "en", "--target", "fr"]
    return ["models", "import", str(folder), "--models", str(folder.parent / "zoo"), *asked, *more]


def imported(folder: Path, *more: str) -> Manifest:
    assert main(command(folder, *more)) == 0
    published = Catalog(folder.parent / "zoo").open("fr")
    published.verify()
    return published.manifest


def preprocessing(manifest: Manifest) -> TranslationInput:
    assert isinstance(manifest.preprocessing, TranslationInput)
    return manifest.preprocessing


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("home", [".", "onnx"])
def test_a_folder_becomes_a_published_model_that_translates(
    tmp_path: Path, layout: str, home: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "exported", layout, home=home)
    manifest = imported(folder)
    told = capsys.readouterr().out
    assert "fr/1 is published" in told
    source = np.array([3 + LETTERS.index(letter) for letter in SENTENCE] + [EOS])
    ids = ReferenceDecoder(Weights()).greedy(source).ids
    said = "".join(LETTERS[i - 3] if i - 3 < len(LETTERS) else f"<unused{i - 98}>" for i in ids)
    assert f"{SENTENCE} → {said.strip()}\n" in told
    decoders = 1 if layout == "merged" else 2
    assert len(manifest.variants[0].graphs) == 1 + decoders
    spec = preprocessing(manifest)
    assert (spec.source, spec.target) == ("en", "fr")
    assert (spec.layers, spec.heads, spec.head_size) == (SPEC.layers, SPEC.heads, SPEC.head_size)
    assert (spec.max_source_tokens, spec.max_target_tokens) == (80, 80)
    assert manifest.provenance.opset == 21


def test_the_merged_decoder_is_taken_where_there_are_both(folder: Path) -> None:
    write_folder(folder, "split")
    assert imported(folder).variants[0].graph("decoder").file == "decoder_model_merged.onnx"


def test_an_import_of_the_same_name_is_the_next_version(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(folder)
    assert imported(folder).version == 2
    assert "fr/2 is published" in capsys.readouterr().out


def test_quantized_graphs_are_taken_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(tmp_path / "exported", suffix="_quantized")
    assert main(command(folder)) == 1
    assert "has no encoder_model.onnx" in capsys.readouterr().err
    variant = imported(folder, "--variant", "int8").variants[0]
    assert variant.precision == "int8"
    assert variant.graph("encoder").file == "encoder_model_quantized.onnx"


def test_what_the_makers_decided_is_in_the_manifest(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "exported",
        max_length=40,
        pad_token_id=None,  # says nothing, so config.json counts
        decoder_start_token_id=5,
        eos_token_id=[2, 7],
        forced_bos_token_id=9,
        bad_words_ids=[[0], [3, 4]],
        suppress_tokens=[11],
        task_specific_params={"translation_en_to_fr": {"prefix": "to French: "}},
    )
    spec = preprocessing(imported(folder))
    assert (spec.bos_id, spec.eos_id, spec.pad_id) == (5, 2, PAD)
    assert spec.max_target_tokens == 39
    assert spec.optimum is not None
    assert spec.optimum.first_id == 9
    assert spec.optimum.banned_ids == (0, 11)
    assert spec.optimum.prefix == "to French: "


def test_the_user_may_say_otherwise(folder: Path) -> None:
    spec = preprocessing(imported(folder, "--prefix", "x: ", "--max-tokens", "30"))
    assert spec.optimum is not None
    assert spec.optimum.prefix == "x: "
    assert spec.max_source_tokens == 30


def test_wishes_that_greedy_decoding_cannot_fulfil_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wishes: dict[str, Any] = {
        "num_beams": 4,
        "do_sample": True,
        "no_repeat_ngram_size": 3,
        "repetition_penalty": 1.2,
        "bad_words_ids": [[3, 4]],
        "eos_token_id": [2, 7],
    }
    imported(write_folder(tmp_path / "exported", **wishes))
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not f")]
    assert len(told) == len(wishes)
    for wish in wishes:
        assert any(wish in line for line in told)


def spoil(folder: Path, file: str, **fields: Any) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer.json"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "not a tokenizer"),
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is no JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "is no JSON object"),
        (lambda f: spoil(f, "config.json", vocab_size="many"), "config.json: vocab_size"),
        (lambda f: spoil(f, "config.json", eos_token_id=None), "names no decoder_start_token_id"),
        (lambda f: spoil(f, "config.json", decoder_vocab_size=7), "vocabularies of their own"),
        (lambda f: (f / "decoder_model_merged.onnx").unlink(), "text2text-generation-with-past"),
        (lambda f: (f / "encoder_model.onnx").write_bytes(b"?"), "encoder_model.onnx: "),
        (lambda f: (f / "encoder_model.onnx_data").touch(), "weights are in encoder_model.onnx_d"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told_and_nothing_is_published(
    folder: Path, wrong: Any, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong(folder)
    assert main(command(folder)) == 1
    assert says in capsys.readouterr().err
    assert not (folder.parent / "zoo").exists()


@pytest.mark.parametrize("file", ["source.spm", "spiece.model"])
def test_a_folder_with_sentencepiece_alone_is_told_what_to_do(
    folder: Path, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "tokenizer.json").rename(folder / file)
    assert main(command(folder)) == 1
    told = capsys.readouterr().err
    assert file in told
    assert "use_fast=True" in told
    assert "Marian" in told


def test_a_name_that_cannot_be_a_folder_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(folder, name="../up")) == 1
    assert "'../up' cannot be a name" in capsys.readouterr().err


def test_a_limit_that_leaves_no_room_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(folder, "--max-tokens", "0")) == 1
    assert "max_source_tokens" in capsys.readouterr().err
    assert main(command(folder, "--max-tokens", "5", "--prefix", "into French: ")) == 1
    assert "no room beside the prefix" in capsys.readouterr().err


def test_a_folder_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(tmp_path / "nowhere")) == 1
    assert "there is no such folder" in capsys.readouterr().err


def test_the_header_of_a_graph_is_read() -> None:
    builder = GraphBuilder()
    builder.input("x", "float32", ["N"])
    builder.output("y", "float32", ["N"])
    builder.op_to("y", "Neg", "x")
    assert read_header(builder.serialize()) == ("", 21)
    named = b"\x12\x07pytorch\x1a\x052.9.1" + builder.serialize()
    assert read_header(named) == ("pytorch 2.9.1", 21)
    assert read_header(b"\x42\x0b\x0a\x07ai.onnx\x10\x11") == ("", 17)  # by its full name


@pytest.mark.parametrize("data", [b"", b"?", b"\x12\xff", b"\x12\x07pytorch", b"\x0b"])
def test_what_is_no_graph_has_no_header(data: bytes) -> None:
    with pytest.raises(ValueError, match="no ONNX graph"):
        read_header(data)
