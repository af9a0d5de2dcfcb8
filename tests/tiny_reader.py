"""A tiny text network in bytes with its reader and its head, and a model of it."""

from functools import cache

import torch

from export.convert.text_graph import text_graph
from export.networks.text import TextConfig, TextNetwork
from export.quantize.reading import reading_graphs
from export.quantize.text import quantize_text
from model_zoo.catalog import Catalog
from model_zoo.manifest import Manifest, TensorSpec, TextInput
from tests.tiny_zoo import FEELINGS, MAX_TOKENS, letter_tokenizer, publish

READ = "tiny-read"
VOCABULARY, HIDDEN = 128, 13
IDS = ("N", "T")
INPUTS = tuple(
    TensorSpec(name=name, dtype="int64", shape=IDS) for name in ("input_ids", "attention_mask")
)
OUTPUTS = (TensorSpec(name="logits", dtype="float32", shape=("N", len(FEELINGS))),)
SPEC = TextInput(max_tokens=MAX_TOKENS, pad_id=0)


@cache
def graphs() -> dict[str, bytes]:
    """{"model", "reader", "head"}; weights so large that an answer goes by the order of tokens."""
    torch.manual_seed(0)
    network = TextNetwork(TextConfig(VOCABULARY, len(FEELINGS), embedding=10, hidden=HIDDEN)).eval()
    with torch.no_grad():
        for weight in network.reader.parameters():
            weight.mul_(4)
        network.head.weight.mul_(4)
    whole = quantize_text(text_graph(network))
    cut = reading_graphs(whole)
    assert cut is not None
    return {role: model.SerializeToString() for role, model in {"model": whole, **cut}.items()}


def publish_reader(catalog: Catalog) -> None:
    """Publish it as `READ`: a token a letter."""
    publish(
        catalog,
        name=READ,
        task="text-classification",
        labels=FEELINGS,
        preprocessing=SPEC,
        inputs=INPUTS,
        outputs=OUTPUTS,
        graphs=graphs(),
        files={"tokenizer.json": letter_tokenizer(VOCABULARY)},
    )


def manifest(root: Catalog) -> Manifest:
    """That of the model, once it is published."""
    return root.open(READ).manifest
