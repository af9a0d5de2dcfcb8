"""Renders every overlay and holds it against schemas and policies; run by `make test-k8s`.

    python -m tests.k8s.validate FOLDER

Needs the tools of tools.lock beside its Python, and SLIPWAY_KUBECTL or a kubectl on the path.
SLIPWAY_CRDS names a folder of custom resource definitions; without it custom resources are not
validated, and that is said.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.k8s.custom_resources import definitions, problems_of
from tests.k8s.manifests import K8S, OVERLAYS, Object, read, render, yaml

# The oldest with preStop's sleep, and the newest that the validator knows.
KUBERNETES = ("1.30", "1.37")
CUSTOM = ("keda.sh/", "monitoring.coreos.com/")


def main() -> int:
    """Exit code 1 when something is wrong."""
    rendered = render_all(Path(sys.argv[1]))
    problems = [*schema_problems(rendered), *custom_problems(), *policy_problems(rendered)]
    for problem in problems:
        say(f"WRONG {problem}")
    say(f"{len(OVERLAYS)} overlays, {len(problems)} problems")
    return int(bool(problems))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def render_all(folder: Path) -> Path:
    """A file an overlay, without the custom resources, which other schemas describe."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.yaml"):
        old.unlink()
    for overlay in OVERLAYS:
        objects = [found for found in render(K8S / "overlays" / overlay) if not is_custom(found)]
        (folder / f"{overlay}.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    return folder


def is_custom(found: Object) -> bool:
    return str(found["apiVersion"]).startswith(CUSTOM)


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / name
    return subprocess.run([program, *arguments], capture_output=True, text=True)


def schema_problems(rendered: Path) -> Iterator[str]:
    """What Kubernetes itself would refuse; unknown fields and kinds too."""
    files = [str(path) for path in sorted(rendered.glob("*.yaml"))]
    for version in KUBERNETES:
        done = tool("kubernetes-validate", "--strict", "--kubernetes-version", version, *files)
        told = (done.stdout + done.stderr).splitlines()
        passed = [line for line in told if line.startswith("INFO")]
        say(f"Kubernetes {version}: {len(passed)} resources are valid")
        yield from (line for line in told if not line.startswith("INFO"))
        if done.returncode or not passed:
            yield f"kubernetes-validate {version} ended with {done.returncode}"


def custom_problems() -> Iterator[str]:
    """What the operators' own definitions would refuse."""
    folder = os.environ.get("SLIPWAY_CRDS")
    found = {
        (overlay, custom["kind"]): custom
        for overlay in OVERLAYS
        for custom in render(K8S / "overlays" / overlay)
        if is_custom(custom)
    }
    if not folder:
        say(f"SLIPWAY_CRDS is not set: {len(found)} custom resources are not validated")
        return
    known = definitions(Path(folder))
    for (overlay, _), custom in found.items():
        yield from (f"{overlay}: {problem}" for problem in problems_of(custom, known))
    say(f"{len(found)} custom resources were held against {len(known)} definitions")


def policy_problems(rendered: Path) -> Iterator[str]:
    """What checkov objects to, unless k8s/waivers.yaml gives a reason; and idle waivers."""
    done = tool(
        *("checkov", "--skip-download", "--framework", "kubernetes", "--directory", str(rendered)),
        *("--output", "json", "--quiet", "--compact", "--soft-fail"),
    )
    try:
        results = json.loads(done.stdout)["results"]
    except (json.JSONDecodeError, KeyError, TypeError):
        yield f"checkov ended with {done.returncode}: {(done.stdout + done.stderr)[-500:]}"
        return
    failed = {(check["check_id"], check["resource"]): check for check in results["failed_checks"]}
    waivers: dict[str, str] = read(K8S / "waivers.yaml")
    say(f"checkov: {len(failed)} objections, {len(waivers)} checks waived with a reason")
    for (check, resource), told in sorted(failed.items()):
        if check not in waivers:
            yield f"{check} {resource} in {told['file_path']}: {told['check_name']}"
    for check in sorted(waivers.keys() - {check for check, _ in failed}):
        yield f"{check} is waived in k8s/waivers.yaml, and nothing needs it"


if __name__ == "__main__":
    sys.exit(main())
