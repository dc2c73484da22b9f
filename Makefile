# The one door. `make` lists what there is.
#
# Works with GNU make 4.3 and later and any POSIX shell.

PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
MODELS ?= pretrained
UNROLL_DATA ?= ../shared/data

# On Linux the default package index holds the CUDA build of torch, several GB. For the CPU build
# (200 MB, all that Unroll uses) set this to the CPU wheel index that pytorch.org names under
# "Get started":  make install TORCH_INDEX=<that address>
# Empty: pip's own configuration decides. On macOS the default build is the CPU build.
TORCH_INDEX ?=

BIN := $(VENV)/bin
RUN := $(BIN)/python
PIP := $(RUN) -m pip --disable-pip-version-check --require-virtualenv

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install native serve test sanitize check format bench models lock readme openapi docs \
  screenshots image image-test compose-up compose-down clean

help: ## list the targets
	@echo "Unroll: train recurrent language models and classifiers, and serve them."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "Variables: PYTHON=$(PYTHON) VENV=$(VENV) HOST=$(HOST) PORT=$(PORT) MODELS=$(MODELS)"
	@echo "           UNROLL_DATA=$(UNROLL_DATA) TORCH_INDEX=$(TORCH_INDEX)"

# --- The environment -------------------------------------------------------------------------
# A stamp for each lock file: pip runs again only when the lock has changed. Serving needs less
# than developing, so `make serve` on a fresh machine installs less than `make test`.

install: $(VENV)/.dev.stamp ## make .venv with everything that serving, training and testing need

$(VENV)/.made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Unroll needs Python 3.11 or later, and \"$(PYTHON)\" is: $$($(PYTHON) --version 2>&1 | head -n 1)."; \
	  echo "Name another one:  make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "\"$(PYTHON)\" cannot make virtual environments: install its venv package"; \
	  echo "(Debian and Ubuntu: apt-get install python3-venv) and run make again."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Everything but torch, each file with its hash. The locks are complete, so pip looks for no more.
LOCKED := install --quiet --require-hashes --no-deps --requirement
$(VENV)/.locked.stamp: requirements.lock | $(VENV)/.made.stamp
	$(PIP) $(LOCKED) requirements.lock
	@touch $@

# torch by itself, without a hash: the CPU build is another file than the default one. All that it
# needs is there by now, but for the CUDA packages that the default build brings along.
$(VENV)/.serve.stamp: requirements-torch.lock $(VENV)/.locked.stamp
	@echo "Installing torch: a large download the first time."
	$(PIP) install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	  --requirement requirements-torch.lock
	@touch $@

# The package itself, with the native kernel: built again when its sources have changed. Without a
# C++ compiler everything works all the same, on the slower torch kernel.
NATIVE := service/kernel/native
$(VENV)/.native.stamp: $(VENV)/.serve.stamp pyproject.toml setup.py $(wildcard $(NATIVE)/csrc/*.cpp $(NATIVE)/csrc/*.h)
	@echo "Building the native kernel: about half a minute."
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@test -e $(NATIVE)/lib/libunroll.so || echo "The native kernel was not built, so models are served" \
	  "many times slower. Install a C++17 compiler (Debian and Ubuntu: apt-get install g++), then: make native"
	@touch $@

native: ## build the native kernel again
	@rm -f $(VENV)/.native.stamp
	@$(MAKE) --no-print-directory $(VENV)/.native.stamp

$(VENV)/.dev.stamp: requirements-dev.lock $(VENV)/.native.stamp
	$(PIP) $(LOCKED) requirements-dev.lock
	@touch $@

$(VENV)/.bench.stamp: requirements-bench.lock $(VENV)/.dev.stamp
	$(PIP) $(LOCKED) requirements-bench.lock
	@touch $@

$(VENV)/.docs.stamp: requirements-docs.lock $(VENV)/.dev.stamp
	$(PIP) $(LOCKED) requirements-docs.lock
	@touch $@

# --- Work ------------------------------------------------------------------------------------

serve: $(VENV)/.native.stamp ## serve MODELS on HOST:PORT
	$(RUN) -m service --models $(MODELS) --host $(HOST) --port $(PORT)

# All tests: the files are shared out among processes, one for each processor. For some of them
# that would take longer to start than it saves.
test: $(VENV)/.dev.stamp ## run all tests (TESTS="tests/model -k word" for some)
	$(RUN) -m pytest $(or $(TESTS),--numprocesses auto --maxprocesses 8 --dist loadfile)

check: $(VENV)/.dev.stamp ## lint, format and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	@if command -v npm >/dev/null; then \
	  npm --prefix tests/browser ci --silent --no-audit --no-fund && tests/browser/node_modules/.bin/tsc -p tests/browser/jsconfig.json; \
	else echo "The types of service/playground were not checked: npm is not installed."; fi

# The native kernel built with address and undefined-behaviour sanitizers, under its own tests.
SANITIZED := build/sanitized
sanitize: $(VENV)/.dev.stamp ## run the kernel's tests under sanitizers (g++)
	UNROLL_CXXFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1" \
	  $(RUN) setup.py --quiet build_ext --build-lib $(SANITIZED) --build-temp $(SANITIZED)/temp
	LD_PRELOAD="$$($${CXX:-g++} -print-file-name=libasan.so) $$($${CXX:-g++} -print-file-name=libstdc++.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UNROLL_NATIVE_LIBRARY=$(SANITIZED)/service/kernel/native/lib/libunroll.so \
	  $(RUN) -m pytest tests/unit/service/kernel -k "not torch and not Sampler-"

readme: $(VENV)/.dev.stamp ## write the answers in README.md and docs/ again, as the service gives them
	$(RUN) -m tests.readme.rewrite

openapi: $(VENV)/.dev.stamp ## write docs/openapi.json and docs/images/packages.svg again
	$(RUN) -m docs.generate

docs: $(VENV)/.docs.stamp ## build the documentation into build/site, strictly and offline
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet

screenshots: $(VENV)/.dev.stamp ## take the pictures of docs/images again (needs Chromium)
	$(RUN) -m tests.browser.screenshots

format: $(VENV)/.dev.stamp ## rewrite the sources as `make check` wants them
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# Everything takes about an hour, BENCH=--quick a few minutes; one part alone and its options:
# .venv/bin/python -m benchmarks --help
BENCH ?=
bench: $(VENV)/.bench.stamp ## measure everything on this machine (BENCH=--quick for a short look)
	UNROLL_DATA="$(abspath $(UNROLL_DATA))" $(RUN) -m benchmarks all $(BENCH)

# What pretrained/ holds; each has its recipe in training/recipes.
LANGUAGE_MODELS := english-word shakespeare-char
CLASSIFIERS := sentiment user-requests

models: $(VENV)/.dev.stamp ## train the pretrained models again from UNROLL_DATA (hours)
	@test -d "$(UNROLL_DATA)" || { \
	  echo "There is no folder $(UNROLL_DATA): say where the data is with UNROLL_DATA=FOLDER."; exit 1; }
	@set -e; export UNROLL_DATA="$(abspath $(UNROLL_DATA))"; \
	for name in $(LANGUAGE_MODELS); do \
	  $(RUN) -m training lm --recipe training/recipes/$$name.toml --out pretrained/$$name --overwrite; \
	done; \
	for name in $(CLASSIFIERS); do \
	  $(RUN) -m training classifier --recipe training/recipes/$$name.toml --out pretrained/$$name --overwrite; \
	done

# --- Containers ------------------------------------------------------------------------------

image: ## build the image `unroll`
	docker build --tag unroll $(if $(TORCH_INDEX),--build-arg TORCH_INDEX=$(TORCH_INDEX)) .

# Of the last commit, in a container engine: Docker, or Podman as root on Debian. Where no image
# registry can be reached, the base image is made of Debian packages.
image-test: $(VENV)/.dev.stamp ## build the image from a clean copy, run it and check it
	UNROLL_IMAGE_TEST=1 $(RUN) -m pytest tests/image

# Only this user may read it; git does not see it.
.env:
	@umask 077; key=$$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n'); \
	  printf 'UNROLL_STATE_KEY=%s\n' "$$key" > $@
	@echo "Made .env with a key that signs the states of clients. Other settings can be added to it."

compose-up: .env ## start the service with Prometheus and Grafana
	docker compose up --build --detach --wait

compose-down: ## stop what compose-up started
	docker compose down

# --- Upkeep ----------------------------------------------------------------------------------

# Needs uv. The locks name versions and hashes for Python 3.11 and later on Linux and macOS. torch
# has a file of its own, without hashes, and its CUDA packages have none: the default build of torch
# pins them and brings them along by itself, and the CPU build needs none.
UV ?= uv
define compile
	$(UV) pip compile pyproject.toml --quiet --universal --python-version 3.11 --no-header \
	  --no-annotate --generate-hashes $(if $(UPGRADE),--upgrade) $(2) --output-file $(1)
	{ printf '%s\n' '# Made by `make lock` from pyproject.toml; the Makefile says what is left out.'; \
	  awk '/^[a-z0-9]/ { dropped = /^(torch==|cuda|nvidia|triton)/ } !dropped' $(1); } > $(1).new
	mv $(1).new $(1)
endef

lock: ## write the lock files again from pyproject.toml (UPGRADE=1: newest versions)
	grep -o 'torch==[0-9.]*' pyproject.toml > requirements-torch.lock
	$(call compile,requirements.lock)
	$(call compile,requirements-dev.lock,--extra dev --constraint requirements.lock)
	$(call compile,requirements-bench.lock,--extra dev --extra bench --constraint requirements-dev.lock)
	$(call compile,requirements-docs.lock,--extra dev --extra docs --constraint requirements-dev.lock)

clean: ## remove caches and build products (the environment stays: rm -r .venv)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist ./*.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
