# The server without torch, in an image. Needs BuildKit.
#
#   docker build -t slipway .                               the models of model_zoo/ inside
#   docker build -t slipway:bare --target bare .            no models: mount them at /models
#   docker build -t slipway:gpu --build-arg FLAVOUR=gpu .   onnxruntime-gpu, CUDA 13, cuDNN 9
#
# Where the network has a certificate authority of its own:
#   docker build --secret id=ca_bundle,src=/path/to/ca-bundle.pem …

# Any image with Python 3.11 as `python`, with pip and venv; all stages use it.
ARG BASE_IMAGE=python:3.11-slim
ARG FLAVOUR=cpu

FROM ${BASE_IMAGE} AS build
ARG FLAVOUR
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# The environment that is shipped has no pip; the tools install into it from outside.
RUN python -m venv tools && python -m venv --without-pip /opt/slipway
COPY requirements-tracing.lock requirements-build.lock requirements-gpu.lock ./
RUN --mount=type=secret,id=ca_bundle \
    set -eu; \
    if [ -f /run/secrets/ca_bundle ]; then export PIP_CERT=/run/secrets/ca_bundle; fi; \
    if [ "$FLAVOUR" = gpu ]; then \
        sed '/^onnxruntime==/,/[^\\]$/d' requirements-tracing.lock > serve.lock; \
        cat requirements-gpu.lock >> serve.lock; \
    else \
        cp requirements-tracing.lock serve.lock; \
    fi; \
    tools/bin/python -m pip install --require-hashes --requirement requirements-build.lock; \
    tools/bin/python -m pip --python /opt/slipway/bin/python install --no-compile \
        --require-hashes --only-binary :all: --requirement serve.lock; \
    if [ "$FLAVOUR" = gpu ]; then \
        ln -s /opt/slipway/lib/python3*/site-packages/nvidia /opt/slipway/nvidia; \
    fi
# Away with what the server never loads: the client of a hub from which tokenizers could download,
# highlighting, tools that come with onnxruntime and its second copy for programs in C, and
# tests, headers and stubs.
RUN set -eu; \
    tools/bin/python -m pip --python /opt/slipway/bin/python uninstall --yes --quiet \
        huggingface-hub hf-xet httpx2 httpcore2 truststore filelock fsspec tqdm pyyaml pygments; \
    cd /opt/slipway/lib/python3*/site-packages; \
    rm -r onnxruntime/quantization onnxruntime/tools onnxruntime/transformers numpy/f2py; \
    if [ "$FLAVOUR" = cpu ]; then rm onnxruntime/capi/libonnxruntime.so.*; fi; \
    find . -type d '(' -name tests -o -name include ')' -prune -exec rm -r {} +; \
    find . -type f '(' -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.a' ')' -delete
COPY LICENSE README.md pyproject.toml source/
COPY service source/service/
COPY model_zoo/*.py model_zoo/py.typed source/model_zoo/
# `slipway-export` is declared beside `slipway`, but what it runs is not in here.
RUN set -eu; \
    tools/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir wheels ./source; \
    tools/bin/python -m pip --python /opt/slipway/bin/python install --no-compile \
        --no-deps --no-index wheels/*.whl; \
    rm /opt/slipway/bin/slipway-export
# Bytecode of what the server imports and of nothing else, the standard library's too: slim bases
# come without, and in a read-only container every start would compile it again.
RUN set -eu; \
    export ORT_DISABLE_TELEMETRY=1 PYTHONPYCACHEPREFIX=/opt/slipway/bytecode; \
    cd /opt/slipway; \
    bin/python -c 'import importlib, pkgutil, PIL.Image, http.client, httptools, service, uvloop; \
        PIL.Image.init(); \
        names = [module.name for module in pkgutil.walk_packages(service.__path__, "service.")]; \
        [importlib.import_module(name) for name in names if not name.endswith("__main__")]'; \
    bin/slipway serve --help > /dev/null

FROM ${BASE_IMAGE} AS models
COPY model_zoo /build/model_zoo/
WORKDIR /build/model_zoo
RUN set -eu; \
    mkdir /models; \
    find . -mindepth 2 -maxdepth 2 -type d -name '[1-9]*' -exec cp -R --parents {} /models ';'; \
    chmod -R a+rX /models

FROM ${BASE_IMAGE} AS runtime-cpu

FROM ${BASE_IMAGE} AS runtime-gpu
ENV LD_LIBRARY_PATH=/opt/slipway/nvidia/cu13/lib:/opt/slipway/nvidia/cudnn/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM runtime-${FLAVOUR} AS bare
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Slipway" \
      org.opencontainers.image.description="Image classification, sentiment and translation over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/slipway /opt/slipway
# Telemetry of ONNX Runtime is on by default. Nothing is ever written but to /tmp. Memory comes in
# pages of 2 MiB where the kernel gives them to who asks.
ENV PATH=/opt/slipway/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/slipway/bytecode \
    ORT_DISABLE_TELEMETRY=1 \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    SLIPWAY_HOST=0.0.0.0 \
    SLIPWAY_MODELS=/models
WORKDIR /models
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-X", "pycache_prefix=/opt/slipway/bytecode", "-IS", "-c", "import http.client, os, sys; port = os.environ.get('SLIPWAY_PORT') or os.environ.get('PORT') or '8000'; probe = http.client.HTTPConnection('127.0.0.1', int(port), timeout=4); probe.request('GET', '/readyz'); sys.exit(probe.getresponse().status != 200)"]
ENTRYPOINT ["slipway"]
CMD ["serve"]

FROM bare AS full
COPY --from=models /models /models
