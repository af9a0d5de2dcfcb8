"""What the source must not hold, whoever writes the next line."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.project.tree import ROOT, called, imported, modules

# reading these formats can run any code that a file brings along
RUNS_CODE = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
# takes apart the one official data set that is shipped as pickles, with an allow-list
GUARDED = ROOT / "export" / "datasets" / "pickles.py"
RUNS_TEXT = {"eval", "exec", "compile", "os.system", "os.popen"}
TRAINS = {"export", "matplotlib", "onnx", "onnxscript", "sacrebleu", "torch", "torchvision"}
SERVING = [*modules("service"), *modules("model_zoo")]
SOURCES = [*SERVING, *modules("export")]


def place(path: Path, call: ast.Call) -> str:
    return f"{path.relative_to(ROOT)}:{call.lineno}"


def test_no_module_reads_a_format_that_runs_code() -> None:
    assert [path for path in SOURCES if path != GUARDED and imported(path) & RUNS_CODE] == []


def test_the_guarded_pickles_are_opened_by_nothing_but_an_allow_list() -> None:
    calls = {function for function, _ in called(GUARDED)}
    assert not calls & {"pickle.load", "pickle.loads", "pickle.Unpickler"}


def test_no_module_runs_text_as_code_or_through_a_shell() -> None:
    found = [
        place(path, call)
        for path in SOURCES
        for function, call in called(path)
        if function in RUNS_TEXT or any(given.arg == "shell" for given in call.keywords)
    ]
    assert found == []


def test_checkpoints_are_loaded_as_weights_and_nothing_else() -> None:
    loads = [
        (place(path, call), {given.arg: ast.unparse(given.value) for given in call.keywords})
        for path in modules("export")
        for function, call in called(path)
        if function == "torch.load"
    ]
    assert [where for where, given in loads if given.get("weights_only") != "True"] == []


def test_what_serves_names_nothing_that_trains() -> None:
    assert [path for path in SERVING if imported(path) & TRAINS] == []


def test_what_serves_loads_nothing_that_trains() -> None:
    """Imports every serving module, to catch what arrives through somebody else's import."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SERVING]
    wanted = [module.removesuffix(".__init__") for module in names if "__main__" not in module]
    script = (
        "import importlib, sys\n"
        f"for name in {wanted!r}: importlib.import_module(name)\n"
        f"print(*sorted(set(sys.modules) & {TRAINS!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
