# The service with the pretrained models inside.
#
#   docker build -t unroll .
#   docker run --rm -p 127.0.0.1:8000:8000 --read-only --cap-drop ALL unroll
#
# BASE: any image with Python 3.11 or later and pip. TORCH_INDEX: the CPU wheel index that
# pytorch.org names under "Get started"; without it, Linux gets the CUDA build, several GB larger.
ARG BASE=python:3.11-slim

# --- The environment: changes only with the lock file -----------------------------------------
FROM ${BASE} AS environment
ARG TORCH_INDEX=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /opt/unroll
RUN /opt/unroll/bin/pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
    "$(grep '^torch==' requirements.lock)"
RUN /opt/unroll/bin/pip install --requirement requirements.lock

# --- What runs --------------------------------------------------------------------------------
FROM ${BASE}
LABEL org.opencontainers.image.title="Unroll" \
      org.opencontainers.image.description="Recurrent language models and classifiers over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing is written at run time: no bytecode, no caches; logs go straight out.
ENV PATH=/opt/unroll/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    HOME=/nonexistent
WORKDIR /app
COPY --from=environment /opt/unroll /opt/unroll
COPY model ./model
COPY service ./service
COPY pretrained ./pretrained
RUN python -m compileall -q model service
USER 10001:10001
EXPOSE 8000
# SIGTERM drains: running streams are ended in good order before the process leaves.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=2)"]
ENTRYPOINT ["python", "-m", "service"]
CMD ["--models", "pretrained", "--host", "0.0.0.0", "--port", "8000"]
