"""GET /docs: the OpenAPI document as one HTML page, without a script and without a CDN.

The page works on a machine without a network and tells nobody that it was opened.
"""

from collections.abc import Iterator
from html import escape
from typing import Any

import orjson

Json = dict[str, Any]

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;
color:#1c2430;background:#fff}
code,pre{font:13px/1.5 ui-monospace,monospace;background:#f3f5f8;border-radius:4px}
code{padding:.1em .3em}pre{padding:.8rem;overflow-x:auto}
section{border-top:1px solid #d8dee6;margin-top:1.6rem}
h2 b{font:600 .75em ui-monospace,monospace;background:#0b5fa5;color:#fff;border-radius:4px;
padding:.2em .5em;margin-right:.5em}
table{border-collapse:collapse}td{padding:.15rem .8rem .15rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#dde4ee;background:#141a22}
code,pre{background:#1f2833}section{border-color:#333f4d}a{color:#7db8f0}}
"""


def render_docs(document: Json, base_url: str) -> str:
    """The page for this OpenAPI document; its curl lines ask the server at `base_url`."""
    title = escape(document["info"]["title"])
    version = escape(document["info"]["version"])
    sections = "".join(
        _operation(path, method, operation, base_url)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>"
        f"<h1>{title} {version}</h1><p>{escape(document['info'].get('description', ''))}</p>"
        '<p>The same as data: <a href="openapi.json">openapi.json</a></p>'
        f"{sections}</body></html>"
    )


def _operation(path: str, method: str, operation: Json, base_url: str) -> str:
    return "".join(
        (
            f'<section id="{escape(operation["operationId"], quote=True)}">',
            f"<h2><b>{method.upper()}</b>{escape(path)}</h2>",
            f"<p>{escape(operation.get('summary', ''))}. ",
            f"{escape(operation.get('description', ''))}</p>",
            *(_block(line) for line in _curls(path, method, operation, base_url)),
            _parameters(operation.get("parameters", [])),
            *_answers(operation["responses"]),
            "</section>",
        )
    )


def _curls(path: str, method: str, operation: Json, base_url: str) -> Iterator[str]:
    """Lines to paste into a shell, one for each form of body."""
    url = base_url + path
    content = operation.get("requestBody", {}).get("content", {})
    if method == "get":
        yield f"curl {url}"
    if "image/jpeg" in content:
        yield f"curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg {url}"
    if "multipart/form-data" in content:
        yield f"curl -F file=@one.jpg -F file=@two.png {url}"
    for example in content.get("application/json", {}).get("examples", {}).values():
        body = orjson.dumps(example["value"]).decode().replace("'", "'\\''")
        yield f"curl -H 'Content-Type: application/json' -d '{body}' {url}"


def _parameters(parameters: list[Json]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(found['name'])}</code></td><td>{escape(found['in'])}</td>"
        f"<td>{escape(found.get('description', ''))}</td></tr>"
        for found in parameters
    )
    return f"<table>{rows}</table>" if rows else ""


def _answers(responses: Json) -> Iterator[str]:
    codes = ", ".join(code for code in responses if code != "200")
    for code, response in responses.items():
        for content in response.get("content", {}).values():
            if code == "200" and "example" in content:
                yield f"<p><b>200</b> {escape(response['description'])}</p>"
                indented = orjson.dumps(content["example"], option=orjson.OPT_INDENT_2)
                yield _block(indented.decode())
    if codes:
        yield f"<p><b>{codes}</b> problem details, <code>application/problem+json</code></p>"


def _block(text: str) -> str:
    return f"<pre>{escape(text, quote=False)}</pre>"
