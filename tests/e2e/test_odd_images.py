"""Awkward image files from the wild: a prediction or a clear refusal, and a server that lives."""

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Server

pytestmark = pytest.mark.e2e

FOLDER = Path(os.environ.get("SLIPWAY_DATA", ROOT.parent / "shared" / "data")) / "odd_images"
FILES = sorted(FOLDER.glob("*/*"))

if not FILES:
    pytest.skip(f"no images in {FOLDER}; set SLIPWAY_DATA", allow_module_level=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_file_is_answered_or_refused_with_a_reason(server: Server, file: Path) -> None:
    answer = server.client.post("/v1/classify", content=file.read_bytes())
    if file.parent.name == "photos":
        assert answer.status_code == 200
    if answer.status_code == 200:
        assert answer.json()["results"][0]["label"]
    else:
        assert 400 <= answer.status_code < 500
        assert len(answer.json()["detail"]) > 10
    assert server.process.poll() is None


def test_afterwards_the_server_is_well(server: Server) -> None:
    assert server.client.get("/readyz").status_code == 200
    assert server.in_flight() == 0
