"""A user's first minutes: start, ask, look at the metrics, stop."""

import io
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import orjson
import psutil
import pytest
from PIL import Image

from model_zoo.catalog import Catalog
from tests import tiny_zoo
from tests.e2e.conftest import Server, running
from tests.policies import needs_patience
from tests.tiny_zoo import IMAGES, TEXTS, TRANSLATOR, publish_images

pytestmark = pytest.mark.e2e


def green_picture() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), (0, 255, 0)).save(data, "JPEG")
    return data.getvalue()


def test_each_task_is_answered(server: Server) -> None:
    headers = {"content-type": "image/jpeg"}
    classified = server.client.post("/v1/classify", content=green_picture(), headers=headers)
    assert classified.json()["results"][0]["label"] == "green"
    felt = server.client.post("/v1/sentiment", json={"text": "What a film!"})
    assert felt.json()["model"] == TEXTS
    translated = server.client.post("/v1/translate", json={"text": ["A dog runs.", ""]})
    assert translated.json()["results"][1]["text"] == ""


def test_the_metrics_count_what_was_asked(server: Server) -> None:
    series = f'endpoint="/v1/sentiment",model="{TEXTS}",outcome="ok",version="1"'

    def count() -> float:
        lines = server.client.get("/metrics").text.splitlines()
        found = [x for x in lines if x.startswith(f"slipway_requests_total{{{series}}}")]
        return float(found[0].split()[-1]) if found else 0.0

    before = count()
    for _ in range(3):
        server.client.post("/v1/sentiment", json={"text": "a"})
    assert count() == before + 3


def test_the_models_tell_on_what_they_run(server: Server) -> None:
    models = server.client.get("/v1/models").json()["models"]
    assert [model["name"] for model in models] == [IMAGES, TRANSLATOR, TEXTS]
    assert all(list(model["providers"]) == ["CPUExecutionProvider"] for model in models)


def test_who_names_no_model_is_answered_by_the_one_that_the_settings_name(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "zoo")
    for name in ("alpha", "beta"):
        publish_images(catalog, name)
    named = ("--models", str(catalog.root), "--default-models", "beta")
    with running(tmp_path / "home", *named) as server:
        assert server.client.post("/v1/classify", content=green_picture()).json()["model"] == "beta"
        models = server.client.get("/v1/models").json()["models"]
        assert [model["name"] for model in models if model["default"]] == ["beta"]


def test_an_upload_may_come_in_chunks(server: Server) -> None:
    picture = green_picture()
    chunks = (picture[start : start + 100] for start in range(0, len(picture), 100))
    answer = server.client.post("/v1/classify", content=chunks)
    assert answer.json()["results"][0]["label"] == "green"


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_that_is_too_large_is_told_so(server: Server, chunked: bool) -> None:
    block = bytes(1 << 20)
    answer = server.client.post(
        "/v1/classify",
        content=(block for _ in range(9)) if chunked else block * 9,
        headers={"content-type": "image/jpeg"},
    )
    assert answer.status_code == 413
    assert server.client.get("/livez").status_code == 200


def test_nothing_leaves_the_machine_and_home_stays_empty(tmp_path: Path, tiny_models: Path) -> None:
    with running(tmp_path / "home", "--models", str(tiny_models)) as server:
        server.client.post("/v1/sentiment", json={"text": "a"})
        connections = psutil.Process(server.process.pid).net_connections()
        remote = {c.raddr.ip for c in connections if c.raddr}
        assert remote <= {"127.0.0.1"}
        assert all(c.laddr.ip == "127.0.0.1" for c in connections if c.laddr)
        assert server.stop() == 0
        assert server.left_behind() == []


def test_a_translation_may_be_read_as_it_grows(server: Server) -> None:
    text = {"text": ["A dog runs across the street. It sees a cat.", "", "A house."]}
    plain = server.client.post("/v1/translate", json=text)
    with server.client.stream("POST", "/v1/translate", json={**text, "stream": True}) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = [line for line in answer.iter_lines() if line]
    names = [line.removeprefix("event: ") for line in lines[::2]]
    news = [orjson.loads(line.removeprefix("data: ")) for line in lines[1::2]]
    assert names == ["progress"] * (len(names) - 1) + ["result"]
    assert news.pop() == plain.json()
    for place, result in enumerate(plain.json()["results"]):
        grown = [found["text"] for found in news if found["index"] == place]
        assert all(result["text"].startswith(known) for known in grown)
    assert len(news) > 1


def test_a_stream_that_cannot_begin_is_a_plain_problem(server: Server) -> None:
    call = {"text": "A dog.", "target": "fr", "stream": True}
    answer = server.client.post("/v1/translate", json=call)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@needs_patience
def test_the_event_loop_is_patient_while_it_is_busy_with_one_model(tmp_path: Path) -> None:
    zoo = tiny_zoo.build(tmp_path / "zoo")
    enough = Event()

    def ask_much(server: Server) -> None:
        while not enough.is_set():
            server.client.post("/v1/sentiment", json={"text": "a film " * 1000})

    options = ("--models", str(zoo.root), "--threads", "1")
    with running(tmp_path / "home", *options) as server, ThreadPoolExecutor(4) as pool:
        loop = server.process.pid  # the thread that has the process's own number
        try:
            assert os.sched_getscheduler(loop) == os.SCHED_OTHER
            for _ in range(4):
                pool.submit(ask_much, server)
            wait_for(lambda: os.sched_getscheduler(loop) == os.SCHED_BATCH)
            threads = [int(task.name) for task in Path(f"/proc/{loop}/task").iterdir()]
            assert [t for t in threads if os.sched_getscheduler(t) == os.SCHED_BATCH] == [loop]
            server.client.post("/v1/classify", content=green_picture())
            wait_for(lambda: os.sched_getscheduler(loop) == os.SCHED_OTHER)
        finally:
            enough.set()


def wait_for(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def photograph() -> bytes:
    """A JPEG of 23 megapixels, which takes as long to unpack as a hundred small images."""
    coarse = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(coarse).resize((4800, 4800)).save(data, "JPEG")
    return data.getvalue()


def test_a_small_image_does_not_wait_for_all_photographs(tmp_path: Path, tiny_models: Path) -> None:
    def ask(image: bytes) -> float:
        began_s = time.monotonic()
        assert server.client.post("/v1/classify", content=image).status_code == 200
        return time.monotonic() - began_s

    large = photograph()
    options = ("--models", str(tiny_models), "--threads", "1")
    with running(tmp_path / "home", *options) as server, ThreadPoolExecutor(24) as pool:
        # Each differs from the others, or they would share one answer.
        photographs = [pool.submit(ask, large + bytes([number])) for number in range(24)]
        wait_for(lambda: server.in_flight() >= 8 or photographs[0].done())
        small_s = ask(green_picture())
        waited_s = sorted(photograph.result() for photograph in photographs)
    assert small_s < waited_s[12] / 2
