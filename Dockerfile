# The service with the pretrained models inside.
#
#   docker build -t unroll .
#   docker run --rm -p 127.0.0.1:8000:8000 --read-only --cap-drop ALL unroll
#
# Other models:  add  -v "$PWD/my-models:/models:ro". Every option of `unroll serve` is also an
# environment variable UNROLL_<NAME>.
#
# BASE: any image with Python 3.11 or later and pip. A digest makes builds repeatable:
#   docker build --build-arg BASE=python:3.11-slim@sha256:DIGEST ...
# `docker buildx imagetools inspect python:3.11-slim` shows the current digest.
# TORCH_INDEX: the CPU wheel index that pytorch.org names under "Get started". Without it, Linux
# gets the CUDA build, which is several GB larger.
#
# What takes the space, without the base image and with the CPU build of torch: torch 600 MB (415 MB
# of it libtorch_cpu.so), sympy and networkx, which torch requires, 100 MB, numpy 75 MB, the other
# packages 90 MB, the pretrained models 23 MB, Unroll 3 MB.
ARG BASE=python:3.11-slim

# --- Build: the locked dependencies, then Unroll -----------------------------------------------
FROM ${BASE} AS environment
ARG TORCH_INDEX=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/unroll
# Everything except torch by hash; torch by version, because the CPU build is another file.
COPY requirements.lock requirements-torch.lock ./
RUN /opt/unroll/bin/pip install --require-hashes --no-deps --requirement requirements.lock
RUN /opt/unroll/bin/pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
    --requirement requirements-torch.lock
# C++ headers and test programs of torch, 145 MB, have no use at run time.
RUN rm -rf /opt/unroll/lib/python3*/site-packages/torch/include \
    /opt/unroll/lib/python3*/site-packages/torch/test
# The compiler of the native kernel, in the version of the base image. It stays in this stage.
# hadolint ignore=DL3008
RUN command -v c++ >/dev/null || { apt-get update \
    && apt-get install --yes --no-install-recommends g++ libc6-dev \
    && rm -rf /var/lib/apt/lists/*; }
COPY pyproject.toml setup.py README.md LICENSE ./
COPY model ./model
COPY service ./service
COPY unroll ./unroll
RUN /opt/unroll/bin/pip install --no-deps --no-build-isolation .
WORKDIR /
RUN /opt/unroll/bin/python -c "from service.kernel.native.library import load; load()"

# --- Run: no compiler, no `training`, no package that only training needs ----------------------
FROM ${BASE}
LABEL org.opencontainers.image.title="Unroll" \
      org.opencontainers.image.description="Recurrent language models and classifiers over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=environment /opt/unroll /opt/unroll
COPY pretrained /models
# Nothing is written at run time: no bytecode and no caches. The log is not buffered.
ENV PATH=/opt/unroll/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/nonexistent \
    UNROLL_MODELS=/models \
    UNROLL_HOST=0.0.0.0 \
    UNROLL_PORT=8000
USER 10001:10001
EXPOSE 8000
# SIGTERM drains: running streams may finish within UNROLL_DRAIN_SECONDS.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"UNROLL_PORT\"]}/health/ready', timeout=2)"]
ENTRYPOINT ["unroll", "serve"]
