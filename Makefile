# The whole developer interface; CI runs the same targets.
.PHONY: demo test demo-test setup lint types unit slow coverage page shuffled seconds docs reference generate \
	licences bench clean

PYTHON_BIN := .venv/bin/python
# A file is one process's, so that what its tests share is made once. Two processes hold two
# browsers and two copies of torch: 0 runs everything in this one.
WORKERS ?= 2
PYTEST = $(PYTHON_BIN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# What `make test` leaves to others: `make slow` nightly, `make demo-test` in a job of its own.
QUICK = not slow and not gpu and not demo
COVERED := 50
SEED ?= $(shell date +%j)

demo: setup
	$(PYTHON_BIN) -m webslm domain=medical quant=q4f32_1

test: setup lint
	@scripts/beside.sh types $(PYTEST) --durations=15 -m "$(QUICK)"

# What stands on a whole build of all rows, ten minutes, on the base that needs no hub.
# WEBSLM_TEST_STORE=FOLDER keeps its steps for the next time.
demo-test: setup
	$(PYTHON_BIN) -m pytest --durations=15 -m "demo and not slow and not gpu"

setup:
	@scripts/setup.sh

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/deptry .

types: setup
	.venv/bin/mypy

# Only the tests that need neither a model nor a browser.
unit: setup
	$(PYTHON_BIN) -m pytest tests/unit tests/conf tests/property

# Of `make unit`, without processes that tests start. COVERED is a floor to be raised to what it prints.
coverage: setup
	$(PYTHON_BIN) -m pytest -n $(WORKERS) --dist loadfile -m "$(QUICK)" tests/unit tests/conf \
		tests/property --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERED)

# The page's modules: types, lint, and tests that need no browser, in seconds.
page: setup
	$(PYTHON_BIN) -m pytest -q tests/page

# `make test` in an order that SEED decides, another every day: tests may not depend on any.
shuffled: setup
	$(PYTEST) --shuffle $(SEED) -m "$(QUICK)"

# What each file takes, for an order that begins with the longest.
seconds: setup
	$(PYTEST) --seconds tests/harness/seconds.json -m "$(QUICK)"

slow: setup
	$(PYTHON_BIN) -m pytest -m "slow and not gpu"

# The site into site/; strict: a broken link or a page outside the navigation fails.
docs: reference
	NO_MKDOCS_2_WARNING=1 $(PYTHON_BIN) -m mkdocs build --strict

# What is generated from the schema, conf/ and the help.
reference: setup
	$(PYTHON_BIN) -m scripts.reference

# What webslm/engine/sources.json lists: each stage's files, from the imports.
generate: reference
	$(PYTHON_BIN) -m scripts.sources

# Of the installed wheels, so in the tested environment only: CPython 3.11.
licences: setup
	$(PYTHON_BIN) -m scripts.licences

clean:
	rm -rf .venv outputs site .pytest_cache .mypy_cache .ruff_cache .hypothesis
