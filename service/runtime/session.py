"""One loaded ONNX graph. The only module that imports onnxruntime.

A graph is opened from bytes that were verified, never from a path, so nothing can change between
the check and the load. Runs are thread-safe; with one intra-op thread a run stays in its caller's
thread, so several workers share one session and its weights.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from model_zoo.manifest import DType, Provider
from service.errors import Cancelled, InferenceFailed, ServiceError
from service.runtime.errors import GraphMismatch, ProviderUnavailable
from service.runtime.signature import Signature, TensorType, differences

Tensor = npt.NDArray[Any]

ORT_NAMES: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
DTYPES: dict[str, DType] = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}
Device = Literal["cuda", "cpu"]  # the latter shows on any machine that the way is right
ON_CUDA = {ORT_NAMES["cuda"], ORT_NAMES["tensorrt"]}
# ORT fuses Add and LayerNorm by itself into a CPU kernel several times slower than the two
SLOW_FUSIONS = ["SkipLayerNormFusion"]
FATAL_ONLY = 4  # every error is raised to the caller as well; stderr is for our own log
# y = -x, for one float: the least that shows whether a provider can be created at all
PROBE = bytes.fromhex(
    "080812003a320a0b0a017812017922034e65671201705a0f0a0178120a0a0808"
    "0112040a020801620f0a0179120a0a08080112040a02080142040a00100d"
)

ort.set_default_logger_severity(FATAL_ONLY)


class Abort:
    """Stops the runs it was handed to, from any thread; those raise Cancelled."""

    def __init__(self) -> None:
        self.options = ort.RunOptions()
        self.options.log_severity_level = FATAL_ONLY

    def set(self) -> None:
        """Stop the current run at its next node, and every later run at once."""
        self.options.terminate = True

    def is_set(self) -> bool:
        return bool(self.options.terminate)


class Binding:
    """Fixed memory for a run's inputs and outputs; keeps the arrays alive as long as itself."""

    __slots__ = ("arrays", "io")

    def __init__(self, io: ort.IOBinding, arrays: tuple[Tensor, ...]) -> None:
        self.io = io
        self.arrays = arrays


class _Graph(ort.InferenceSession):  # type: ignore[misc]  # onnxruntime has no types
    """ORT's session, less the copy of the model's bytes that it keeps for its own fallback."""

    def __init__(self, graph: bytes, options: ort.SessionOptions, providers: list[Any]) -> None:
        super().__init__(
            graph,
            options,
            providers=providers,
            disabled_optimizers=SLOW_FUSIONS,
            enable_fallback=0,  # a fallback is ours to decide and to report
        )
        self._model_bytes = None


class DeviceRun:
    """Runs of one input and one output of fixed shapes, whose memory on the device is kept.

    Fill `staged`, and `run` copies it over and gives the output, which holds until the next run.
    Both stand in page-locked memory where the provider offers it, which the device reads by itself.
    One thread at a time.
    """

    def __init__(
        self, graph: _Graph, device: Device, given: TensorType, wanted: TensorType
    ) -> None:
        self._graph = graph
        self._staged = _host_value(given, device)
        self._found = _host_value(wanted, device)
        self._given = ort.OrtValue.ortvalue_from_shape_and_type(
            given.shape, np.dtype(given.dtype).type, device, 0
        )
        self._io = graph.io_binding()
        self._io.bind_ortvalue_input(given.name, self._given)
        self._io.bind_ortvalue_output(wanted.name, self._found)
        self.staged: Tensor = self._staged.numpy()
        self._output: Tensor = self._found.numpy()

    def run(self, abort: Abort | None = None) -> Tensor:
        """One call. Raises InferenceFailed, or Cancelled by `abort`."""
        self._given.update_inplace(self.staged)
        _guarded(abort, self._graph.run_with_iobinding, self._io)
        return self._output


class Session:
    """A graph ready to run.

    `placement` counts the graph's nodes by the provider that really runs them.
    """

    def __init__(self, graph: _Graph) -> None:
        self._graph = graph
        self.inputs = tuple(_tensor_type(arg) for arg in graph.get_inputs())
        self.outputs = tuple(_tensor_type(arg) for arg in graph.get_outputs())
        self.placement: Mapping[str, int] = Counter(
            part.ep_name
            for part in graph.get_provider_graph_assignment_info()
            for _ in part.get_nodes()
        )

    def expect(self, promised: Signature) -> None:
        """Raise GraphMismatch, naming each tensor, unless the graph keeps what was promised."""
        found = differences(promised, self.inputs, self.outputs)
        if found:
            raise GraphMismatch(f"{promised.graph} graph: " + "; ".join(found))

    def run(
        self,
        feeds: Mapping[str, Tensor],
        outputs: Sequence[str] | None = None,
        abort: Abort | None = None,
    ) -> dict[str, Tensor]:
        """One call; the named outputs, or all. Raises InferenceFailed, or Cancelled by `abort`."""
        names = list(outputs) if outputs is not None else [tensor.name for tensor in self.outputs]
        values = _guarded(abort, self._graph.run, names, dict(feeds))
        return dict(zip(names, values, strict=True))

    @property
    def device(self) -> Device | None:
        """Where all nodes run, if that is one device with memory of its own."""
        return "cuda" if self.placement and set(self.placement) <= ON_CUDA else None

    def device_run(self, device: Device, given: TensorType, wanted: TensorType) -> DeviceRun:
        """Memory on `device` for these shapes, which are whole numbers. Raises what ORT raises."""
        return DeviceRun(self._graph, device, given, wanted)

    def bind(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Binding:
        """Tie the graph to this memory; an output may be the very array of an input.

        The arrays must be C-contiguous. Outputs not named are not fetched.
        """
        io = self._graph.io_binding()
        for name, array in inputs.items():
            io.bind_input(name, "cpu", 0, array.dtype.type, array.shape, _address(name, array))
        for name, array in outputs.items():
            io.bind_output(name, "cpu", 0, array.dtype.type, array.shape, _address(name, array))
        return Binding(io, (*inputs.values(), *outputs.values()))

    def run_bound(self, binding: Binding, abort: Abort | None = None) -> None:
        """One call from and to bound memory. Raises InferenceFailed, or Cancelled by `abort`."""
        _guarded(abort, self._graph.run_with_iobinding, binding.io)


def open_session(
    graph: bytes,
    *,
    providers: Sequence[Provider] = ("cpu",),
    threads: int = 1,
    strict: bool = False,
) -> Session:
    """Load a graph for the first of `providers` that works; the CPU takes what they leave.

    Raises GraphMismatch if the bytes are no graph that can run, and with `strict`
    ProviderUnavailable if the first provider is not usable or was given not one node.
    """
    first = providers[0]
    if strict and first not in usable_providers():
        raise ProviderUnavailable(f"{first} does not run here; usable: {usable_providers()}")
    runnable = [name for name in providers if name in usable_providers() and name != "cpu"]
    try:
        session = _open(graph, runnable, threads)
    except GraphMismatch as error:
        if strict and first != "cpu":
            raise ProviderUnavailable(f"{first} refuses the graph: {error}") from error
        if not runnable:
            raise
        session = _open(graph, [], threads)
    if strict and first != "cpu" and not session.placement.get(ORT_NAMES[first]):
        raise ProviderUnavailable(f"{first} runs no node of the graph: {dict(session.placement)}")
    return session


@cache
def usable_providers() -> tuple[Provider, ...]:
    """Short names of the providers that are installed and can be created on this machine."""
    installed = ort.get_available_providers()
    return tuple(name for name, full in ORT_NAMES.items() if full in installed and _starts(name))


def _starts(provider: Provider) -> bool:
    # a GPU build lists CUDA even where there is neither a driver nor a GPU
    try:
        graph = _Graph(PROBE, _options(1), _with_options([provider], 1))
    except Exception:  # ORT raises bare RuntimeError and its own types alike
        return False
    return ORT_NAMES[provider] in graph.get_providers()


def _open(graph: bytes, accelerators: Sequence[Provider], threads: int) -> Session:
    providers = _with_options([*accelerators, "cpu"], threads)
    try:
        return Session(_Graph(graph, _options(threads), providers))
    except Exception as error:  # ORT's exceptions have no common type but this
        raise GraphMismatch(f"ONNX Runtime cannot open the graph: {error}") from error


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = FATAL_ONLY
    for key, value in {
        # spinning burns a CPU quota while idle and gains no latency worth it
        "session.intra_op.allow_spinning": "0",
        "session.inter_op.allow_spinning": "0",
        "session.record_ep_graph_assignment_info": "1",
    }.items():
        options.add_session_config_entry(key, value)
    return options


def _with_options(providers: Sequence[Provider], threads: int) -> list[Any]:
    tuned: dict[Provider, dict[str, str]] = {
        # else OpenVINO computes fp32 graphs in bf16 on CPUs that can, and takes every core
        "openvino": {
            "device_type": "CPU",
            "precision": "ACCURACY",
            "num_of_threads": str(threads),
        },
        "cuda": {
            "use_tf32": "0",  # fp32 means fp32; who wants speed on a GPU takes fp16
            # to try all algorithms for each new shape would let batches wait
            "cudnn_conv_algo_search": "HEURISTIC",
            # memory that a spike took in powers of two is never given back
            "arena_extend_strategy": "kSameAsRequested",
        },
    }
    return [(ORT_NAMES[name], tuned.get(name, {})) for name in providers]


def _host_value(tensor: TensorType, device: Device) -> ort.OrtValue:
    """Memory of the host for this tensor, page-locked where the device's provider offers it."""
    offered = (
        found.memory_info(ort.OrtDeviceMemoryType.HOST_ACCESSIBLE)
        for found in (ort.get_ep_devices() if device == "cuda" else ())
        if found.ep_name in ON_CUDA
    )
    return ort.OrtValue.ortvalue_from_shape_and_type(
        tensor.shape, np.dtype(tensor.dtype).type, memory_info=next(offered, None)
    )


def _tensor_type(arg: Any) -> TensorType:
    shape = tuple("?" if side is None else side for side in arg.shape)
    return TensorType(arg.name, DTYPES.get(arg.type, arg.type), shape)


def _address(name: str, array: Tensor) -> int:
    if not array.flags.c_contiguous:
        raise ValueError(f"{name}: only contiguous memory can be bound")
    return int(array.ctypes.data)


def _guarded(abort: Abort | None, run: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return run(*arguments, None if abort is None else abort.options)
    except Exception as error:  # ORT's exceptions have no common type but this
        raise _explained(error, abort) from error


def _explained(error: Exception, abort: Abort | None) -> ServiceError:
    if abort is not None and abort.is_set():
        return Cancelled("nobody waits for this answer any more")
    # ORT's own words may hold shapes and paths: they stay in the chained exception, for the log
    return InferenceFailed("the model failed on this input")
