# make repro: the whole pipeline and its comparison; make test, make drill, make lint, make study, make bench, make fuzz, make mutants. Each sets up .venv by itself.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NATIVE := CMakeLists.txt pyproject.toml $(wildcard src/native/*)
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

# Asked of the compiled module itself: a file that is gone, or is back with an old time, makes no stamp old.
CHECK := from pathlib import Path; from egopack.runtime.native_sources import check_built; check_built(Path("src/native"))
STALE := $(shell PYTHONPATH=src $(BIN)/python -c '$(CHECK)' 2>/dev/null || echo stale)

# of a user's or a cluster's settings those that would have other modules imported, or packages put elsewhere
unexport PYTHONPATH PYTHONHOME PYTHONSAFEPATH PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER := 0

.PHONY: drill repro study test lint bench check-gpu fuzz mutants clean stale

repro: $(VENV)/native
	$(RUN) python -m stages.repro $(if $(JOBS),--jobs $(JOBS)) $(ARGS)
	@cat data/comparison.md

# what params.study.yaml asks: hours; python -m stages.study --dry tells how many
study: $(VENV)/native
	$(RUN) python -m stages.study $(if $(JOBS),--jobs $(JOBS)) $(ARGS)
	$(RUN) python -m stages.study --figures

test: $(VENV)/native
	$(RUN) pytest --numprocesses auto --maxprocesses 8 --dist loadgroup -m "not drill" $(ARGS)

# kills, queues and whole walks through the pipeline: minutes each
drill: $(VENV)/native
	$(RUN) pytest --numprocesses auto --maxprocesses 8 --dist loadgroup -m drill $(ARGS)

lint: $(VENV)/native
	$(RUN) ruff check src stages tests
	$(RUN) ruff format --check src stages tests
	$(RUN) mypy
	$(RUN) PYTHONPATH=src lint-imports
	$(RUN) PYTHONPATH=src python -m stages.describe_params --check

bench: $(VENV)/native
	$(RUN) python -m tests.benchmarks $(ARGS)

# on a machine with a GPU: parity fixtures, and the same bytes twice
check-gpu: $(VENV)/native
	$(RUN) python -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "torch sees no GPU here; install a CUDA build of torch into .venv (requirements.txt names its version)")'
	$(RUN) pytest tests/parity tests/runtime/test_gpu.py --parity-device cuda $(ARGS)

fuzz: $(VENV)/native
	$(RUN) python -m tests.fuzz $(ARGS)

# hours: which small changes of the source do the tests not notice?
mutants: $(VENV)/native
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.txt cosmic-ray==8.7.0
	$(RUN) python -m tests.mutants $(ARGS)

# .venv is whole when these stamps are newer than what they were made from
$(VENV)/requirements: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

$(VENV)/native: $(VENV)/requirements $(NATIVE) $(STALE)
	EGOPACK_NATIVE_ONLY=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall .
	@echo '$(CURDIR)/src' > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/egopack_checkout.pth"
	@touch $@

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache
