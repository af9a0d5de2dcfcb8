"""What every test gets: a quiet ONNX Runtime, asyncio, and an alarm for a blocked event loop."""

import os
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

# before any test module can import onnxruntime
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fails a test in which Slipway's own code blocks a running event loop."""
    with blockbuster_ctx(["service", "model_zoo"]) as guard:
        # the service renders its metrics in a thread, while tests look at them wherever they are
        guard.functions["io.TextIOWrapper.read"].can_block_in("service/cgroup.py", "_text")
        yield guard
