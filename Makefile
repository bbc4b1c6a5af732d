# The two commands of the README are `make solve` and `make test`; each sets itself up on a fresh machine.
# VENV=DIR puts the virtual environment elsewhere; PYTHON=... chooses the interpreter that makes it.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/pip --disable-pip-version-check
READY = $(VENV)/.ready
# The CPU build of vLLM is there for x86-64 Linux; elsewhere the transformers engine is the default.
NO_DEPS = $(if $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m)),requirements/no-deps.txt,requirements/no-deps-portable.txt)

.PHONY: setup solve test hostile lint bench docs browser screenshots rehearsal clean

setup: $(READY)

# torch first and by its exact version, so that nothing else chooses one.
$(READY): pyproject.toml constraints.txt requirements/no-deps.txt requirements/no-deps-portable.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt torch==2.13.0
	$(PIP) install -c constraints.txt -e '.[cpu,dev,report,kaggle]'
	$(PIP) install -c constraints.txt --no-deps -r $(NO_DEPS)
	touch $@

solve: $(READY)
	$(BIN)/python -m solver solve examples/problems.csv -o submission.csv --time-limit 10m --report run.html

# Two files of tests at a time. One thread each for what computes: threads that wait for each other on shared cores are a
# hundred times slower. WORKERS=0 runs all in one process.
WORKERS ?= 2
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not gpu and not slow' -n $(WORKERS)

# The hostile corpus at the levels of privilege and with the layers that `make test` leaves out.
hostile: $(READY)
	$(BIN)/python -m pytest -m slow tests/test_sandbox_hostile.py

# A Kaggle bundle with the embedded model and CPU wheels: built, checked, and rehearsed offline: with the model in one mount
# layout, commit run and two scored runs, its answers scored; in the other two layouts with texts in the model's place.
# Everything stays in build/rehearsal. Wheels and the image's environment are fetched once, into the user's cache.
REHEARSE = $(BIN)/python -m submission rehearse build/rehearsal/bundle examples/problems.csv --limit 3
rehearsal: $(READY)
	rm -rf build/rehearsal
	$(BIN)/python -m submission bundle --preset miniature --model embedded -o build/rehearsal/bundle
	$(BIN)/python -m submission check build/rehearsal/bundle
	$(REHEARSE) --layouts new --time-limit 10m --report build/rehearsal/model.json
	$(REHEARSE) --layouts old,m --time-limit 10m --without-model --report build/rehearsal/layouts.json

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages of docs/ into build/docs; a broken link or an undocumented name ends it.
docs: $(READY)
	$(PIP) install -q -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo 'open build/docs/index.html in a browser'

# The browser that the report's tests drive, where it is not there yet and Debian's packages can be had.
browser:
	command -v chromium >/dev/null || (apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium)

screenshots: $(READY)
	PYTHONPATH=. $(BIN)/python docs/screenshots.py

bench: $(READY)
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV)
