# The door to the project. A target is a line or two; what is longer lives in services/ or tests/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONDONTWRITEBYTECODE ?= 1
export UV_PYTHON_DOWNLOADS ?= never

.DEFAULT_GOAL := help
.PHONY: help locks run test browser check format console screenshots faults simulate mutants soak bench clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.run  ## Start Relay on http://127.0.0.1:8080 (RELAY_PORT chooses another port); Ctrl-C ends it
	@exec $(BIN)/relay up

test: $(VENV)/.dev  ## Run every check and test (about nine minutes); BROWSER=no leaves out those in a browser
	@$(BIN)/pytest -q -n 2 --dist loadgroup --no-loadscope-reorder --browser $(or $(BROWSER),first)

browser: $(VENV)/.dev  ## Walk every flow of the console in a real browser (about four minutes)
	@$(BIN)/pytest -q -n 2 --dist loadgroup --no-loadscope-reorder tests/browser

check: $(VENV)/.dev  ## Format, lint, types and import contracts only (about half a minute)
	@$(BIN)/pytest -q tests/test_house.py

faults: $(VENV)/.dev  ## Break every part of a whole cluster, and then by SEEDS (6); about ten minutes
	@$(BIN)/pytest -q tests/faults -n 2 --dist worksteal --seeds $(or $(SEEDS),6)

simulate: $(VENV)/.dev  ## Run 10,000 seeds of the simulation of the stream protocol
	@$(BIN)/python -m tests.shared.stream

mutants: $(VENV)/.dev  ## Try every deliberate fault: the tests must catch each
	@$(BIN)/python -m tests.mutants

soak: $(VENV)/.dev  ## Load a whole cluster for MINUTES (20) while parts of it fail; nothing may grow
	@$(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),20)

format: $(VENV)/.dev  ## Format the code
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

console: $(VENV)/.dev  ## Build the web console anew, after a change in console/ or in the API
	@$(BIN)/python -m tests.edge.console_build

screenshots: $(VENV)/.dev  ## Take pictures of every page of the console, into .screenshots/index.html
	@$(BIN)/python -m tests.browser.gallery

bench: $(VENV)/.dev  ## Measure speed, latency, cost and memory on this machine
	@$(BIN)/python -m bench

LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

locks:  ## Resolve the locked dependencies anew (needs uv)
	$(LOCK) pyproject.toml --extra local --group build --group dev -o locks/dev.txt
	$(LOCK) pyproject.toml --extra local --group build -c locks/dev.txt -o locks/run.txt
	$(LOCK) pyproject.toml -c locks/dev.txt -o locks/image.txt
	$(LOCK) --group build -c locks/dev.txt -o locks/build.txt

clean:  ## Remove the virtual environment and caches; the data in .relay stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .screenshots

$(VENV)/.%: locks/%.txt pyproject.toml deploy/install
	@PYTHON="$(PYTHON)" deploy/install "$(VENV)" $*
