"""Who the peers are: what to install, how to start it, how it wants its pictures."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.child import ONE_THREAD
from bench.place import ROOT
from service.load.target import Target

SERVERS = "bench.peers.servers"
BUILD = ROOT / "build" / "peers"
START_S = 120.0
BOUNDARY = "picture"

Wrap = Callable[[Target, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Peer:
    """`start` is run by the peer's own Python, with {port} and {folder} filled in."""

    name: str
    requirements: tuple[str, ...]
    start: tuple[str, ...]
    wrap: Wrap

    @property
    def environment(self) -> Path:
        """Where it is installed."""
        return BUILD / self.name.lower().replace(" ", "-")

    @property
    def python(self) -> Path:
        """Its own."""
        return self.environment / "bin" / "python"

    def install(self) -> None:
        """Once; CalledProcessError with what pip said."""
        done = self.environment / ".installed"
        if done.exists() and done.read_text() == "\n".join(self.requirements):
            return
        subprocess.run([sys.executable, "-m", "venv", str(self.environment)], check=True)
        words = [str(self.python), "-m", "pip", "install", "--quiet", *self.requirements]
        subprocess.run(words, check=True, capture_output=True, text=True)
        done.write_text("\n".join(self.requirements))

    def version(self) -> str:
        """Of the package itself."""
        package = self.requirements[0].split("[")[0].split("=")[0]
        code = f"import importlib.metadata as m; print(m.version('{package}'))"
        found = subprocess.run(
            [str(self.python), "-c", code], check=True, capture_output=True, text=True
        )
        return found.stdout.strip()


def raw(path: str) -> Wrap:
    """The bytes of the picture are the body."""
    return lambda target, image: target.post(path, image, "image/jpeg")


def form(path: str) -> Wrap:
    """A form with one file, as a browser sends it."""
    head = (
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.jpg"\r\n'
        "content-type: image/jpeg\r\n\r\n"
    ).encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return lambda target, image: target.post(path, head + image + tail, kind)


def tensor(path: str) -> Wrap:
    """A tensor of bytes in the Open Inference Protocol."""

    def wrap(target: Target, image: bytes) -> bytes:
        data = [base64.b64encode(image).decode()]
        one = {"name": "picture", "shape": [1], "datatype": "BYTES", "data": data}
        return target.post(path, json.dumps({"inputs": [one]}).encode(), "application/json")

    return wrap


def server(module: str) -> tuple[str, ...]:
    """A module of ours as a program."""
    return ("{python}", "-m", f"{SERVERS}.{module}")


BASE = ("onnxruntime==1.31.1", "pillow", "numpy")
PEERS = (
    Peer(
        "FastAPI",
        ("fastapi", "uvicorn[standard]", "python-multipart", *BASE),
        server("naive_fastapi"),
        form("/classify"),
    ),
    Peer(
        "LitServe",
        ("litserve==0.2.19", "python-multipart", *BASE),
        server("litserve_server"),
        form("/predict"),
    ),
    Peer(
        "mosec",
        ("mosec==0.9.8", *BASE),
        (*server("mosec_server"), "--port", "{port}", "--address", "127.0.0.1"),
        raw("/inference"),
    ),
    Peer(
        "BentoML",
        ("bentoml", *BASE),
        (
            "{python}",
            "-m",
            "bentoml",
            "serve",
            f"{SERVERS}.bentoml_server:Classify",
            "--port",
            "{port}",
            "--host",
            "127.0.0.1",
        ),
        form("/classify"),
    ),
    Peer(
        "MLServer",
        ("mlserver==1.7.1", *BASE),
        ("{python}", "-m", "mlserver.cli.main", "start", "{folder}"),
        tensor("/v2/models/classify/infer"),
    ),
    Peer("Ray Serve", ("ray[serve]", *BASE), server("ray_server"), raw("/")),
)


@dataclass(frozen=True, slots=True)
class Running:
    """A server and its first process."""

    target: Target
    process_id: int


@contextmanager
def running(peer: Peer, model: Path, cores: set[int], port: int) -> Iterator[Running]:
    """The peer's server until the block ends, on these cores."""
    folder = BUILD / "run" / peer.environment.name
    folder.mkdir(parents=True, exist_ok=True)
    _write_mlserver_settings(folder, port)
    given = {"python": str(peer.python), "port": str(port), "folder": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [word.format(**given) for word in peer.start],
            cwd=ROOT,
            env=_environment(peer, model, folder, port),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
    try:
        yield Running(Target("127.0.0.1", port), process.pid)
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


@contextmanager
def paused(target: Running) -> Iterator[None]:
    """Stop all its processes for a while: some servers look for work without a rest."""
    processes = _tree(target.process_id)
    for process in processes:
        _signal(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            _signal(process, signal.SIGCONT)


def _tree(process: int) -> list[int]:
    found = [process]
    for thread in Path("/proc", str(process), "task").glob("*/children"):
        for child in thread.read_text().split():
            found += _tree(int(child))
    return found


def _signal(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def wait_until_it_answers(target: Target, request: bytes) -> None:
    """Until this request gets a 200; RuntimeError if it never does."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    url = target.url + first.split()[1]
    end_s, last = time.monotonic() + START_S, "nothing"
    while time.monotonic() < end_s:
        try:
            asked = urllib.request.Request(url, body, headers, method="POST")
            with urllib.request.urlopen(asked, timeout=10):
                return
        except urllib.error.HTTPError as error:
            last = f"{error.code} {error.read()[:200]!r}"
        except OSError as error:
            last = str(error)
        time.sleep(0.3)
    raise RuntimeError(f"no good answer in {START_S:.0f} s; the last was {last}")


def _environment(peer: Peer, model: Path, folder: Path, port: int) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPWAY_", "VIRTUAL_ENV"))}
    return {
        **kept,
        **ONE_THREAD,
        "PATH": f"{peer.environment / 'bin'}:{kept.get('PATH', '')}",
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "PEER_MODEL": str(model),
        "PEER_PORT": str(port),
        "ORT_DISABLE_TELEMETRY": "1",
        "BENTOML_DO_NOT_TRACK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _write_mlserver_settings(folder: Path, port: int) -> None:
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "parallel_workers": 0,
        "debug": False,
    }
    model = {"name": "classify", "implementation": f"{SERVERS}.mlserver_runtime.Classify"}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
