# Each target sets itself up: a virtual environment in .venv with the core, the plugins and the tools.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO ?= demo

.PHONY: demo test check bench clean

$(READY): requirements-dev.txt pyproject.toml plugins/*/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $(READY)

demo: $(READY)   ## a simulated night: simulate, ingest, plan, produce, verify, show (in ./demo)
	PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh "$(DEMO)"

test: $(READY)   ## all tests
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(READY)   ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy cpp_framework plugins/cpp_bias/cpp_bias plugins/cpp_dark/cpp_dark plugins/cpp_flat/cpp_flat plugins/cpp_butler/cpp_butler plugins/cpp_defects/cpp_defects examples/third_party_plugin/cpp_noise_spectrum
	$(BIN)/lint-imports

bench: $(READY)   ## benchmarks, side by side with ccdproc and astropy
	$(BIN)/python -m pip install --quiet -r benchmarks/requirements.txt
	$(BIN)/python benchmarks/bench_combine.py
	$(BIN)/python benchmarks/bench_correct.py
	$(BIN)/python benchmarks/bench_defects.py
	$(BIN)/python benchmarks/bench_produce.py
	$(BIN)/python benchmarks/bench_memory.py
	$(BIN)/python benchmarks/bench_headers.py
	$(BIN)/python benchmarks/bench_ingest.py
	$(BIN)/python benchmarks/bench_store.py

clean:
	rm -rf $(VENV) $(DEMO)
