"""A folder as Hugging Face Optimum writes it: finds its files and reads what it says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from model_zoo.manifest import Role
from service.cli.errors import CommandFailed

SUFFIXES = {"fp32": "", "int8": "_quantized"}
GRAPH_FOLDERS = (".", "onnx")
TOKENIZER, CONFIG, GENERATION = "tokenizer.json", "config.json", "generation_config.json"
KEPT = (CONFIG, GENERATION, TOKENIZER, "tokenizer_config.json", "README.md")
SENTENCEPIECE = ("source.spm", "spiece.model", "sentencepiece.bpe.model")
EXPORT = "optimum-cli export onnx --model ID --task text2text-generation-with-past FOLDER"

ImportedVariant = Literal["fp32", "int8"]


class OptimumConfig(BaseModel):
    """What `config.json` and `generation_config.json` say, as far as it matters here."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model_type: str = "sequence-to-sequence"
    is_encoder_decoder: bool = True
    vocab_size: int | None = None
    decoder_vocab_size: int | None = None
    max_position_embeddings: int | None = None
    n_positions: int | None = None
    max_length: int | None = None
    decoder_start_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int | None] | None = None
    pad_token_id: int | None = None
    forced_bos_token_id: int | None = None
    bad_words_ids: list[list[int]] | None = None
    suppress_tokens: list[int] | None = None
    num_beams: int | None = None
    do_sample: bool | None = None
    no_repeat_ngram_size: int | None = None
    repetition_penalty: float | None = None
    task_specific_params: dict[str, Any] | None = None

    @property
    def start_id(self) -> int | None:
        """What the decoder begins with."""
        start = self.decoder_start_token_id
        return self.bos_token_id if start is None else start

    @property
    def end_id(self) -> int | None:
        """What ends a sentence; the first of several."""
        ends = self.eos_token_id
        return (ends or [None])[0] if isinstance(ends, list) else ends

    @property
    def banned_ids(self) -> tuple[int, ...]:
        """The tokens that are never to be written."""
        words = {word[0] for word in self.bad_words_ids or () if len(word) == 1}
        return tuple(sorted(words.union(self.suppress_tokens or ())))

    def prefix(self, source: str, target: str) -> str:
        """What the makers put before a text in these languages."""
        task = (self.task_specific_params or {}).get(f"translation_{source}_to_{target}")
        return str(task.get("prefix", "")) if isinstance(task, dict) else ""

    def not_followed(self) -> list[str]:
        """The wishes of the model's makers that greedy decoding does not fulfil."""
        found = []
        if (self.num_beams or 1) > 1:
            found.append(f"num_beams {self.num_beams}: decoding is greedy")
        if self.do_sample:
            found.append("do_sample: decoding is greedy")
        if self.no_repeat_ngram_size:
            found.append(f"no_repeat_ngram_size {self.no_repeat_ngram_size}")
        if (self.repetition_penalty or 1.0) != 1.0:
            found.append(f"repetition_penalty {self.repetition_penalty}")
        if any(len(word) > 1 for word in self.bad_words_ids or ()):
            found.append("bad_words_ids of more than one token")
        if isinstance(self.eos_token_id, list) and len(self.eos_token_id) > 1:
            found.append(f"eos_token_id {self.eos_token_id[1:]}: the first alone ends a sentence")
        return found


@dataclass(frozen=True, slots=True)
class OptimumFolder:
    """The bytes of everything that is imported, by file name; which of them is which graph."""

    config: OptimumConfig
    graphs: Mapping[Role, str]
    files: Mapping[str, bytes]


def read_folder(folder: Path, variant: ImportedVariant) -> OptimumFolder:
    """All that is needed; CommandFailed says what is missing and where to get it."""
    if not folder.is_dir():
        raise CommandFailed(f"{folder}: there is no such folder")
    home, graphs = _find_graphs(folder, SUFFIXES[variant])
    if not (folder / TOKENIZER).is_file():
        raise CommandFailed(_no_tokenizer(folder))
    files = {file: (folder / file).read_bytes() for file in KEPT if (folder / file).is_file()}
    for file in graphs.values():
        if (home / f"{file}_data").exists():
            raise CommandFailed(
                f"{home / file}: its weights are in {file}_data, but only graphs that hold their "
                "own can be served; they do below 2 GiB, when exported anew"
            )
        files[file] = (home / file).read_bytes()
    return OptimumFolder(_read_config(folder, files), graphs, files)


def _find_graphs(folder: Path, suffix: str) -> tuple[Path, dict[Role, str]]:
    for home in (folder / name for name in GRAPH_FOLDERS):
        merged: dict[Role, str] = {
            "encoder": f"encoder_model{suffix}.onnx",
            "decoder": f"decoder_model_merged{suffix}.onnx",
        }
        split: dict[Role, str] = {
            "encoder": f"encoder_model{suffix}.onnx",
            "decoder": f"decoder_model{suffix}.onnx",
            "decoder_with_past": f"decoder_with_past_model{suffix}.onnx",
        }
        for graphs in (merged, split):
            if all((home / file).is_file() for file in graphs.values()):
                return home, graphs
    raise CommandFailed(
        f"{folder} has no encoder_model{suffix}.onnx with decoder_model_merged{suffix}.onnx, nor "
        f"with decoder_model{suffix}.onnx and decoder_with_past_model{suffix}.onnx\n"
        f"Optimum writes them with: {EXPORT}"
    )


def _no_tokenizer(folder: Path) -> str:
    found = [file for file in SENTENCEPIECE if (folder / file).is_file()]
    told = f"{folder} has no {TOKENIZER}, and other tokenizers are not read"
    if not found:
        return f"{told}\nsave the model's fast tokenizer there: {_SAVE}"
    return (
        f"{told}, {' or '.join(found)} neither\n"
        f"for most models transformers converts it: {_SAVE}\n"
        "for Marian (opus-mt) it cannot; take tokenizer.json from a repository of the same model "
        "that was prepared for transformers.js, which holds one"
    )


_SAVE = "AutoTokenizer.from_pretrained(ID, use_fast=True).save_pretrained(FOLDER)"


def _read_config(folder: Path, files: Mapping[str, bytes]) -> OptimumConfig:
    """Both files as one; where they differ the one on generation is right."""
    if CONFIG not in files:
        raise CommandFailed(f"{folder} has no {CONFIG}, which Optimum writes beside the graphs")
    merged: dict[str, Any] = {}
    for file in (CONFIG, GENERATION):
        try:
            found = orjson.loads(files.get(file, b"{}"))
        except orjson.JSONDecodeError as error:
            raise CommandFailed(f"{folder / file} is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise CommandFailed(f"{folder / file} is no JSON object")
        merged |= {name: value for name, value in found.items() if value is not None}
    try:
        return OptimumConfig.model_validate(merged)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, problem["loc"]))
        raise CommandFailed(f"{folder / CONFIG}: {field}: {problem['msg']}") from error
