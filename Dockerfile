# The service with the pretrained models inside.
#
#   docker build -t unroll .
#   docker run --rm -p 127.0.0.1:8000:8000 --read-only --cap-drop ALL unroll
#
# Models of your own:  add  -v "$PWD/my-models:/models:ro". Every option of `python -m service` is
# also an environment variable UNROLL_<NAME>.
#
# BASE: any image with Python 3.11 or later and pip; with a digest the build is the same tomorrow:
#   docker build --build-arg BASE=python:3.11-slim@sha256:DIGEST ...
# `docker buildx imagetools inspect python:3.11-slim` tells today's digest.
# TORCH_INDEX: the CPU wheel index that pytorch.org names under "Get started"; without it, Linux
# gets the CUDA build, several GB larger.
ARG BASE=python:3.11-slim

# --- The environment: what the lock names, then Unroll itself ----------------------------------
FROM ${BASE} AS environment
ARG TORCH_INDEX=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/unroll
# Everything but torch by hash; torch by version, since the CPU build is another file.
COPY requirements.lock requirements-torch.lock ./
RUN /opt/unroll/bin/pip install --require-hashes --no-deps --requirement requirements.lock
RUN /opt/unroll/bin/pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
    --requirement requirements-torch.lock
# A compiler for the native kernel, of the base's own release; it stays in this stage.
# hadolint ignore=DL3008
RUN command -v c++ >/dev/null || { apt-get update \
    && apt-get install --yes --no-install-recommends g++ libc6-dev \
    && rm -rf /var/lib/apt/lists/*; }
COPY pyproject.toml setup.py README.md LICENSE ./
COPY model ./model
COPY service ./service
RUN /opt/unroll/bin/pip install --no-deps --no-build-isolation .
WORKDIR /
RUN /opt/unroll/bin/python -c "from service.kernel.native.library import load; load()"

# --- What runs --------------------------------------------------------------------------------
FROM ${BASE}
LABEL org.opencontainers.image.title="Unroll" \
      org.opencontainers.image.description="Recurrent language models and classifiers over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=environment /opt/unroll /opt/unroll
COPY pretrained /models
# Nothing is written at run time: no bytecode, no caches; the log goes straight out.
ENV PATH=/opt/unroll/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/nonexistent \
    UNROLL_MODELS=/models \
    UNROLL_HOST=0.0.0.0 \
    UNROLL_PORT=8000
USER 10001:10001
EXPOSE 8000
# SIGTERM drains: streams that run are let finish within UNROLL_DRAIN_SECONDS.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"UNROLL_PORT\"]}/health/ready', timeout=2)"]
ENTRYPOINT ["python", "-m", "service"]
