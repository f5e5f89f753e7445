# The whole developer interface; CI runs the same targets.
.PHONY: demo test setup lint types unit slow docs reference generate licences bench clean

PYTHON_BIN := .venv/bin/python
# A file is one process's, so that what its tests share is made once. Two processes hold two
# browsers and two copies of torch: 0 runs everything in this one.
WORKERS ?= 2

demo: setup
	$(PYTHON_BIN) -m webslm domain=medical quant=q4f32_1

test: setup lint types
	$(PYTHON_BIN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=15 \
		-m "not slow and not gpu"

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
