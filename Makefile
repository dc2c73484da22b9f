# All development tasks. `make` without a target lists them.
#
# Needs GNU make 4.3 or later and a POSIX shell.

PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
MODELS ?= pretrained
UNROLL_DATA ?= ../shared/data

# On Linux the default package index has the CUDA build of torch (several GB). Unroll uses the CPU
# only. For the CPU build (200 MB) set this to the CPU wheel index that pytorch.org names under
# "Get started":  make install TORCH_INDEX=<that address>
# Empty: pip's own configuration decides. On macOS the default build is the CPU build.
TORCH_INDEX ?=

BIN := $(VENV)/bin
RUN := $(BIN)/python
PIP := $(RUN) -m pip --disable-pip-version-check --require-virtualenv

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install native serve test test-slow soak coverage check format sanitize package readme openapi dashboard docs lecture screenshots bench \
  models image image-test compose-up replicas-up compose-down lock clean

help: ## list the targets
	@echo "Unroll: train recurrent language models and classifiers, and serve them."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "Variables: PYTHON=$(PYTHON) VENV=$(VENV) HOST=$(HOST) PORT=$(PORT) MODELS=$(MODELS)"
	@echo "           UNROLL_DATA=$(UNROLL_DATA) TORCH_INDEX=$(TORCH_INDEX)"

# --- The environment -------------------------------------------------------------------------
# One stamp per lock file: pip runs again only when the lock has changed. `make serve` installs less
# than `make test`.

install: $(VENV)/.dev.stamp ## create .venv with all that serving, training and testing need

$(VENV)/.made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Unroll needs Python 3.11 or later, and \"$(PYTHON)\" is: $$($(PYTHON) --version 2>&1 | head -n 1)."; \
	  echo "Name another one:  make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "\"$(PYTHON)\" cannot make virtual environments: install its venv package"; \
	  echo "(Debian and Ubuntu: apt-get install python3-venv) and run make again."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Everything except torch, by hash. The locks are complete: --no-deps adds nothing to them.
LOCKED := install --quiet --require-hashes --no-deps --requirement
$(VENV)/.locked.stamp: requirements.lock | $(VENV)/.made.stamp
	$(PIP) $(LOCKED) requirements.lock
	@touch $@

# torch by version, without a hash, because the CPU build and the default build are different files.
# Its dependencies are installed by now, except the CUDA packages of the default build.
$(VENV)/.serve.stamp: requirements-torch.lock $(VENV)/.locked.stamp
	@echo "Installing torch: a large download the first time."
	$(PIP) install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	  --requirement requirements-torch.lock
	@touch $@

# The package with the native kernel, built again when its sources have changed. Without a C++
# compiler the service uses the slower torch kernel.
NATIVE := service/kernel/native
$(VENV)/.native.stamp: $(VENV)/.serve.stamp pyproject.toml setup.py $(wildcard $(NATIVE)/csrc/*.cpp $(NATIVE)/csrc/*.h)
	@echo "Building the native kernel: about half a minute."
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@test -e $(NATIVE)/lib/libunroll.so || echo "The native kernel was not built: models are served many" \
	  "times slower. Install a C++17 compiler (Debian and Ubuntu: apt-get install g++), then: make native"
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

# All tests run in one process per processor, shared out by file. A selection runs in one process.
ALL_TESTS := --numprocesses auto --maxprocesses 8 --dist loadfile
test: $(VENV)/.dev.stamp ## run the tests that are not marked slow (TESTS="tests/unit/model -k word" for some)
	$(RUN) -m pytest $(or $(TESTS),-m "not slow" $(ALL_TESTS))

test-slow: $(VENV)/.dev.stamp ## run the tests that are marked slow
	$(RUN) -m pytest -m slow $(ALL_TESTS)

# Child processes (servers, training commands, torchrun) are measured too: [tool.coverage.run].
# Fails below the floor in [tool.coverage.report].
coverage: $(VENV)/.dev.stamp ## run all tests and measure line coverage; report in build/coverage
	rm -rf build/coverage
	$(RUN) -m coverage run -m pytest $(or $(TESTS),$(ALL_TESTS))
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage html --quiet
	$(RUN) -m coverage report

check: $(VENV)/.dev.stamp ## check lint, format and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	@if command -v npm >/dev/null; then \
	  npm --prefix tests/browser ci --silent --no-audit --no-fund && tests/browser/node_modules/.bin/tsc -p tests/browser/jsconfig.json; \
	else echo "The types of service/playground were not checked: npm is not installed."; fi

# Builds the native kernel with address and undefined-behavior sanitizers and runs its tests.
SANITIZED := build/sanitized
sanitize: $(VENV)/.dev.stamp ## run the kernel's tests under sanitizers (g++)
	UNROLL_CXXFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1" \
	  $(RUN) setup.py --quiet build_ext --build-lib $(SANITIZED) --build-temp $(SANITIZED)/temp
	LD_PRELOAD="$$($${CXX:-g++} -print-file-name=libasan.so) $$($${CXX:-g++} -print-file-name=libstdc++.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UNROLL_NATIVE_LIBRARY=$(SANITIZED)/service/kernel/native/lib/libunroll.so \
	  $(RUN) -m pytest tests/unit/service/kernel -k "not torch and not Sampler-"

# The long forms of two tests. The tests of `make test` contain the short ones.
SOAK_SECONDS ?= 1800
STORM_STREAMS ?= 10000
soak: $(VENV)/.dev.stamp ## half an hour of mixed load with reloads (a line a minute in build/soak.log), and 10,000 cut streams
	UNROLL_SOAK_SECONDS=$(SOAK_SECONDS) UNROLL_STORM_STREAMS=$(STORM_STREAMS) \
	  $(RUN) -m pytest --override-ini=log_cli=true --log-cli-level=INFO --log-file=build/soak.log --log-file-level=INFO \
	  tests/integration/load/test_soak.py \
	  tests/integration/load/test_disconnect_storm.py

# The wheel is built from the unpacked sdist, so it also shows that the sdist is complete. The tests
# install it into an empty environment.
package: $(VENV)/.dev.stamp ## build sdist and wheel in dist/ and test them
	rm -rf dist
	$(RUN) -m build --no-isolation --outdir dist
	UNROLL_DIST="$(CURDIR)/dist" $(RUN) -m pytest tests/packaging

readme: $(VENV)/.dev.stamp ## write the answers in README.md and docs/ again, as the service gives them
	$(RUN) -m tests.readme.rewrite

openapi: $(VENV)/.dev.stamp ## write docs/openapi.json and docs/images/packages.svg again
	$(RUN) -m docs.generate

dashboard: ## write docker/grafana/dashboards/unroll.json again
	$(if $(wildcard $(RUN)),$(RUN),$(PYTHON)) -m docker.grafana.dashboard

docs: $(VENV)/.docs.stamp ## build the documentation into build/site, strictly and offline
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet

lecture: $(VENV)/.dev.stamp ## make figures, numbers and notebook of docs/lecture again
	OMP_NUM_THREADS=1 $(RUN) -m docs.lecture all --renew

screenshots: $(VENV)/.dev.stamp ## take the pictures of docs/images again (needs Chromium)
	$(RUN) -m tests.browser.screenshots

format: $(VENV)/.dev.stamp ## fix lint and format
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# All benchmarks take about 20 minutes, with BENCH=--quick about 5. An interrupted run continues. The results go
# into docs/performance.md with `python -m benchmarks report`. One benchmark and its options:
# .venv/bin/python -m benchmarks --help
BENCH ?=
bench: $(VENV)/.bench.stamp ## run all benchmarks (BENCH=--quick for a short run)
	UNROLL_DATA="$(abspath $(UNROLL_DATA))" $(RUN) -m benchmarks all $(BENCH)

# The models in pretrained/; each has a recipe in training/recipes.
LANGUAGE_MODELS := english-word shakespeare-char
CLASSIFIERS := sentiment surname-language user-requests

models: $(VENV)/.dev.stamp ## train the pretrained models again from UNROLL_DATA (hours)
	@test -d "$(UNROLL_DATA)" || { \
	  echo "There is no directory $(UNROLL_DATA): name the data with UNROLL_DATA=DIRECTORY."; exit 1; }
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

# Builds the last commit with Docker, or with Podman as root on Debian. Without an image registry the
# base image is made from Debian packages.
image-test: $(VENV)/.dev.stamp ## build the image from a clean copy, run it and test it
	UNROLL_IMAGE_TEST=1 $(RUN) -m pytest tests/image

# Readable by this user only and ignored by git.
.env:
	@umask 077; key=$$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n'); \
	  printf 'UNROLL_STATE_KEY=%s\n' "$$key" > $@
	@echo "Created .env with a key that signs state tokens. Other settings can be added to it."

compose-up: .env ## start the service with Prometheus and Grafana
	docker compose up --build --detach --wait

replicas-up: .env ## start REPLICAS (2) containers behind HAProxy on port 8080
	docker compose --profile replicas up --build --detach --wait balancer

compose-down: ## stop the containers of compose-up and replicas-up
	docker compose --profile replicas down

# --- Upkeep ----------------------------------------------------------------------------------

# Needs uv. The locks name versions and hashes for Python 3.11 and later on Linux and macOS. torch
# has its own lock without hashes. Its CUDA packages are in no lock: the default build of torch pins
# and installs them itself, and the CPU build needs none.
UV ?= uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate
define compile
	$(COMPILE) pyproject.toml --generate-hashes $(if $(UPGRADE),--upgrade) \
	  --constraint requirements-torch.lock $(2) --output-file $(1)
	{ printf '%s\n' '# Made by `make lock` from pyproject.toml, without torch and its CUDA packages.'; \
	  awk '/^[a-z0-9]/ { dropped = /^(torch==|cuda|nvidia|triton)/ } !dropped' $(1); } > $(1).new
	mv $(1).new $(1)
endef

lock: ## write the lock files again from pyproject.toml (UPGRADE=1: newest versions)
	$(if $(UPGRADE),echo torch | $(COMPILE) - --no-deps --upgrade --output-file requirements-torch.lock)
	$(call compile,requirements.lock)
	$(call compile,requirements-dev.lock,--extra dev --constraint requirements.lock)
	$(call compile,requirements-bench.lock,--extra dev --extra bench --constraint requirements-dev.lock)
	$(call compile,requirements-docs.lock,--extra dev --extra docs --constraint requirements-dev.lock)

clean: ## remove caches and build products (the environment stays: rm -r .venv)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist ./*.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
