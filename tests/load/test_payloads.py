"""What is sent: to the native API and by the Open Inference Protocol."""

import io
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tokenizers import pre_tokenizers

from service.load.errors import LoadError
from service.load.native import native_requests
from service.load.oip import oip_requests
from service.load.target import Target
from service.load.words import captions, feelings

TARGET = Target("localhost", 8000, {"x-priority": "bulk"})


def body(request: bytes) -> bytes:
    head, _, content = request.partition(b"\r\n\r\n")
    assert f"content-length: {len(content)}".encode() in head
    return content


def words(text: str) -> int:
    return len(text.split())


def test_a_request_is_complete() -> None:
    assert TARGET.post("/v1/x", b"{}", "application/json") == (
        b"POST /v1/x HTTP/1.1\r\nhost: localhost:8000\r\ncontent-type: application/json\r\n"
        b"content-length: 2\r\nx-priority: bulk\r\n\r\n{}"
    )


@pytest.mark.parametrize("url", ["https://a", "http://a/v1", "ftp://a", "http://"])
def test_only_the_root_of_a_plain_server_is_a_target(url: str) -> None:
    with pytest.raises(LoadError, match="http://HOST:PORT"):
        Target.parse(url)


@pytest.mark.parametrize("url", ["http://a:81", "a:81", "http://a:81/"])
def test_a_target_is_a_host_and_a_port(url: str) -> None:
    assert (Target.parse(url).host, Target.parse(url).port) == ("a", 81)


def test_made_up_images_are_different_small_jpegs() -> None:
    images = [body(request) for request in native_requests(TARGET, "classify", count=20)]
    assert len(set(images)) == 20
    for image in images:
        opened = Image.open(io.BytesIO(image))
        assert (opened.format, opened.size) == ("JPEG", (32, 32))


def test_a_seed_gives_the_same_payloads_again() -> None:
    assert feelings(10, seed=1) == feelings(10, seed=1) != feelings(10, seed=2)
    first, second = (native_requests(TARGET, "classify", count=3, seed=s) for s in (1, 2))
    assert first != second


def test_made_up_feelings_are_as_long_as_reviews_and_sentences() -> None:
    texts = feelings(2000)
    reviews, sentences = texts[::2], texts[1::2]
    assert statistics.mean(map(words, reviews)) == pytest.approx(230, rel=0.1)
    assert statistics.median(map(words, reviews)) == pytest.approx(174, rel=0.1)
    assert statistics.mean(map(words, sentences)) == pytest.approx(19.3, rel=0.1)
    assert len(set(texts)) == 2000


def test_made_up_captions_are_one_sentence_of_mixed_length() -> None:
    texts = captions(500)
    lengths = [len(pre_tokenizers.Whitespace().pre_tokenize_str(text)) for text in texts]
    assert min(lengths) < 8 < 20 < max(lengths) < 45
    assert all(text.count(".") == 1 and text.endswith(".") for text in texts)
    assert len(set(texts)) == 500


def test_the_first_captions_are_as_long_as_the_last() -> None:
    lengths = [len(text) for text in captions(4096)]
    assert statistics.mean(lengths[:1024]) == pytest.approx(statistics.mean(lengths), rel=0.02)
    assert statistics.mean(lengths[-1024:]) == pytest.approx(statistics.mean(lengths), rel=0.02)


def test_texts_come_from_files_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("One.\n\nTwo.\n")
    sent = native_requests(TARGET, "sentiment", data=[tmp_path], model="my-model")
    assert [json.loads(body(one)) for one in sent] == [{"text": "One."}, {"text": "Two."}]
    assert sent[0].startswith(b"POST /v1/sentiment?model=my-model HTTP/1.1\r\n")


def test_images_come_from_files_with_their_type(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    (tmp_path / "notes.txt").write_text("no picture")
    (only,) = native_requests(TARGET, "classify", data=[tmp_path])
    assert body(only) == b"picture"
    assert b"content-type: image/png\r\n" in only


def test_data_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="no such file"):
        native_requests(TARGET, "classify", data=[tmp_path / "none"])
    with pytest.raises(LoadError, match="no images"):
        native_requests(TARGET, "classify", data=[tmp_path])
    (tmp_path / "b.txt").write_bytes(b"\xff")
    with pytest.raises(LoadError, match="not UTF-8"):
        native_requests(TARGET, "translate", data=[tmp_path])


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the server says of its model; a test may change it."""
    said: dict[str, Any] = {
        "inputs": [
            {"name": "ids", "datatype": "INT64", "shape": [-1, -1]},
            {"name": "pixels", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "text", "datatype": "BYTES", "shape": [1]},
            {"name": "flag", "datatype": "BOOL", "shape": ["1"]},
        ]
    }
    monkeypatch.setattr(Target, "get_json", lambda self, path: said | {"asked": path})
    return said


def test_tensors_follow_the_metadata_of_the_model(metadata: dict[str, Any]) -> None:
    first, second = oip_requests(TARGET, "my model", shapes={"ids": [1, 4]}, count=2)
    assert first.startswith(b"POST /v2/models/my%20model/infer HTTP/1.1\r\n")
    ids, pixels, text, flag = json.loads(body(first))["inputs"]
    assert ids == {"name": "ids", "datatype": "INT64", "shape": [1, 4], "data": [1] * 4}
    assert (pixels["shape"], len(pixels["data"])) == ([1, 3], 3)
    assert all(-1 <= value <= 1 for value in pixels["data"])
    assert isinstance(text["data"][0], str)
    assert flag["data"] == [True]
    assert first != second


def test_a_version_may_be_asked_for(metadata: dict[str, Any]) -> None:
    (only,) = oip_requests(TARGET, "m", version="2", count=1)
    assert only.startswith(b"POST /v2/models/m/versions/2/infer ")


def test_a_shape_of_an_unknown_input_is_told(metadata: dict[str, Any]) -> None:
    with pytest.raises(LoadError, match="no input 'pixel'; it has ids, pixels, text, flag"):
        oip_requests(TARGET, "m", shapes={"pixel": [1]})


@pytest.mark.parametrize("inputs", [None, [], [{"name": "x"}], ["x"]])
def test_metadata_without_inputs_are_told(metadata: dict[str, Any], inputs: Any) -> None:
    metadata["inputs"] = inputs
    with pytest.raises(LoadError, match="/v2/models/m"):
        oip_requests(TARGET, "m")
