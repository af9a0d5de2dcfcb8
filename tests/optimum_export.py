"""A folder as Hugging Face Optimum would write it, of the tiny translation model."""

import json
from pathlib import Path
from typing import Any

from tests.runtime.tiny_optimum import graphs
from tests.runtime.tiny_transformer import BOS, EOS, PAD, SPEC, VOCABULARY, Weights
from tests.tiny_zoo import letter_tokenizer

CONFIG = {
    "model_type": "marian",
    "is_encoder_decoder": True,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": SPEC.max_target_tokens,
    "decoder_start_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
}
FILES = {"decoder": "decoder_model", "decoder_with_past": "decoder_with_past_model"}


def write_folder(
    folder: Path, layout: str = "merged", *, home: str = ".", suffix: str = "", **config: Any
) -> Path:
    """`home` is where in the folder the graphs lie; `config` goes into generation_config.json."""
    (folder / home).mkdir(parents=True, exist_ok=True)
    merged = {"decoder": "decoder_model_merged"} if layout == "merged" else {}
    for role, graph in graphs(Weights(), layout).items():
        name = ({"encoder": "encoder_model"} | FILES | merged)[role]
        (folder / home / f"{name}{suffix}.onnx").write_bytes(graph)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "generation_config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_bytes(letter_tokenizer(VOCABULARY))
    return folder
