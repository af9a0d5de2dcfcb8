"""nginx in front of several replicas on this machine, set up as one would for a rolling restart."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_S = 10.0

# A request that a replica cannot take any more goes to the next one, a POST too: to answer an item
# twice does no harm. No replica is left out for a failure: a refused connection costs nothing.
CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/answer;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    upstream slipway {{
        {servers}
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 8m;
        location / {{
            proxy_pass http://slipway;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 2s;
            proxy_read_timeout 40s;
            proxy_next_upstream error timeout http_503 non_idempotent;
        }}
    }}
}}
"""


def find_nginx() -> str | None:
    """The program; Debian puts it where a user's path does not lead."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """One that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def proxy(ports: Sequence[int], folder: Path) -> Iterator[int]:
    """The port of an nginx in front of these; its files lie in the folder.

    Raises SystemExit where nginx is missing or does not start.
    """
    program = find_nginx()
    if program is None:
        raise SystemExit("there is no nginx; apt-get install nginx-light")
    port = free_port()
    servers = "\n        ".join(f"server 127.0.0.1:{each} max_fails=0;" for each in ports)
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, servers=servers, port=port))
    command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(process, port, folder)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            time.sleep(0.02)
    log = folder / "error.log"
    raise SystemExit(f"nginx does not start: {log.read_text() if log.exists() else 'no log'}")
