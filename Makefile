# The whole developer interface; CI runs the same targets.
.PHONY: demo test setup lint types unit slow bench clean

PYTHON_BIN := .venv/bin/python

demo: setup
	$(PYTHON_BIN) -m webslm domain=medical quant=q4f32_1

test: setup lint types
	$(PYTHON_BIN) -m pytest --durations=15 -m "not slow and not gpu"

setup:
	@scripts/setup.sh

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: setup
	.venv/bin/mypy

# Only the tests that need neither a model nor a browser.
unit: setup
	$(PYTHON_BIN) -m pytest tests/unit tests/conf tests/property

slow: setup
	$(PYTHON_BIN) -m pytest -m "slow and not gpu"

clean:
	rm -rf .venv outputs .pytest_cache .mypy_cache .ruff_cache .hypothesis
