from typing import Any

import pytest

from export.report import CardText, Plot, model_card
from model_zoo.manifest import Manifest

TEXT = CardText(
    intended_use=("Small pictures of everyday things.",),
    misuse=("Decisions about people.",),
    known_limits=("Cats and dogs are mixed up.",),
    training="A residual network, trained from scratch.",
    licence="Apache-2.0",
)
DIGEST = "ab" * 32


def graph(precision: str, role: str = "model") -> dict[str, Any]:
    return {"file": f"{role}_{precision}.onnx", "bytes": 1_500_000, "sha256": DIGEST, "role": role}


def measurement(value: float, metric: str = "accuracy") -> dict[str, Any]:
    return {
        "dataset": "CIFAR-10",
        "split": "test",
        "metric": metric,
        "value": value,
        "items": 10000,
    }


def variant(precision: str, **evidence: Any) -> dict[str, Any]:
    return {
        "precision": precision,
        "graphs": [graph(precision)],
        "providers": ["cpu"],
        "needs": ["vnni"] if precision == "int8" else [],
        "evidence": evidence,
    }


def manifest(**changes: Any) -> Manifest:
    gate = {"max_abs_diff": 2e-6, "tolerance": 1e-4, "items": 256, "agreement": 1.0}
    content: dict[str, Any] = {
        "name": "shapes",
        "version": 3,
        "task": "image-classification",
        "description": "Tells shapes apart.",
        "labels": ["cat", "dog"],
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 3, 32, 32]}],
        "outputs": [{"name": "logits", "dtype": "float32", "shape": ["batch", 2]}],
        "preprocessing": {
            "kind": "image",
            "height": 32,
            "width": 48,
            "mean": [0, 0, 0],
            "std": [1, 1, 1],
            "interpolation": "bilinear",
            "fit": "crop",
        },
        "variants": [
            variant(
                "fp32",
                accuracy=[measurement(0.93125), measurement(0.251, "loss")],
                parity=gate,
                invariance={**gate, "sizes": [1, 8, 32]},
            ),
            variant("int8", accuracy=[measurement(0.929)]),
        ],
        "provenance": {
            "datasets": [
                {
                    "name": "CIFAR-10",
                    "split": "train",
                    "licence": "none stated | cite",
                    "source": "https://example.org",
                    "sha256": DIGEST,
                    "rows": 50000,
                }
            ],
            "git_commit": "0123abc",
            "seed": 7,
            "torch": "2.13.0",
            "onnx": "1.23.2",
            "onnxruntime": "1.31.1",
            "opset": 21,
            "created": "2026-01-02T03:04:05Z",
            "training_seconds": 4325,
            "machine": "2 cores",
            "command": "slipway-export image-classification --name shapes",
        },
    }
    return Manifest.model_validate({**content, **changes})


def test_figures_have_a_row_a_measurement_and_a_column_a_variant() -> None:
    card = model_card(manifest(), TEXT)
    assert "| Data set | Split | Metric | fp32 | int8 |" in card
    assert "| CIFAR-10 | test (10,000) | accuracy | 93.12 % | 92.90 % |" in card
    assert "| CIFAR-10 | test (10,000) | loss | 0.251 |  |" in card


def test_gates_are_told_with_their_numbers() -> None:
    card = model_card(manifest(), TEXT)
    assert (
        "| fp32 | parity with the network in torch | 2e-06 (allowed 0.0001) | 100.00 % of 256 |"
        in card
    )
    assert "| fp32 | alone against in batches of 1, 8, 32 |" in card


def test_the_data_is_told_with_terms_and_digest() -> None:
    card = model_card(manifest(), TEXT)
    assert r"| CIFAR-10 | train | 50,000 | none stated \| cite |" in card
    assert f"`{DIGEST[:12]}…`" in card
    assert "Licence of the model: Apache-2.0." in card


def test_the_card_says_what_the_model_is_for_and_how_it_was_made() -> None:
    card = model_card(manifest(), TEXT)
    assert card.startswith("# shapes, version 3\n\nTells shapes apart.\n")
    for sentence in (
        "* Small pictures of everyday things.",
        "* Decisions about people.",
        "* Cats and dogs are mixed up.",
        "A residual network, trained from scratch.",
        "| Time | 1 h 12 min on 2 cores |",
        "| Seed, commit | 7, 0123abc |",
        "| Input | RGB image, cropped to 48 x 32 (bilinear) |",
        "| int8 | model_int8.onnx (1.5 MB; cpu, needs vnni) |",
        "```sh\nslipway-export image-classification --name shapes\n```",
    ):
        assert sentence in card


def test_plots_are_shown_with_their_caption() -> None:
    card = model_card(manifest(), TEXT, [Plot("curves.png", b"", "Loss by epoch")])
    assert "## Plots\n\n![Loss by epoch](curves.png)\n\nLoss by epoch\n" in card


def test_sections_without_content_are_left_out() -> None:
    assert "## Plots" not in model_card(manifest(), TEXT)
    bare = manifest(variants=[variant("fp32")])
    assert "## Figures" not in model_card(bare, TEXT)


def test_a_long_list_of_labels_is_cut() -> None:
    card = model_card(manifest(labels=[f"c{i}" for i in range(100)]), TEXT)
    assert "c19, and 80 more |" in card


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0 s on"), (61, "1 min 1 s on"), (7200, "2 h 0 min on")]
)
def test_times_are_told_in_fitting_units(seconds: float, told: str) -> None:
    made = manifest().provenance.model_copy(update={"training_seconds": seconds})
    assert told in model_card(manifest(provenance=made.model_dump()), TEXT)


def test_text_models_tell_their_length() -> None:
    text = {"kind": "text", "max_tokens": 300, "pad_id": 0}
    files = [{"file": "tokenizer.json", "bytes": 1, "sha256": DIGEST}]
    card = model_card(manifest(task="text-classification", preprocessing=text, files=files), TEXT)
    assert "| Input | text, up to 300 tokens |" in card


def test_translations_tell_their_languages_and_bleu() -> None:
    spec = {
        "kind": "translation",
        "source": "en",
        "target": "de",
        "max_source_tokens": 128,
        "max_target_tokens": 160,
        "pad_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "layers": 2,
        "heads": 4,
        "head_size": 64,
        "vocabulary": 8192,
    }
    both = variant("fp32", accuracy=[measurement(33.456, "bleu")])
    both["graphs"] = [graph("fp32", "encoder"), graph("fp32", "decoder")]
    files = [{"file": "tokenizer.json", "bytes": 1, "sha256": DIGEST}]
    card = model_card(
        manifest(task="translation", labels=[], preprocessing=spec, variants=[both], files=files),
        TEXT,
    )
    assert "| Input | sentence, en to de, up to 128 tokens |" in card
    assert "| bleu | 33.46 |" in card
    assert "encoder_fp32.onnx, decoder_fp32.onnx (3.0 MB; cpu)" in card
    assert "Labels" not in card
