# What a person or a machine asks of this repository. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help setup run serve test check bench soak docs lock clean

BIN := .venv/bin
WORKERS ?= 2
# What benchmarks share, and peers that are measured by the benchmark they belong to.
SHARED := __init__ sse_servers sse_clients http_clients harness processes noop_cooks report cartoon_layers hashlips queue_peers agenda
BENCHES := $(filter-out $(SHARED),$(basename $(notdir $(wildcard benchmarks/*.py))))

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: ## create .venv with pinned, hashed requirements (does nothing when up to date)
	@scripts/setup.sh run

run: setup ## cook, approve and export the bundled example collection
	@$(BIN)/cauldron run-example --auto-approve

serve: setup ## start the studio
	@$(BIN)/cauldron serve

.PHONY: setup-test setup-bench
setup-test:
	@scripts/system-packages.sh
	@scripts/setup.sh test

setup-bench:
	@scripts/setup.sh bench

check: setup-test ## lint, format, types, architecture
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest tests/test_architecture.py tests/test_house.py

test: check ## everything a submission must pass
	HYPOTHESIS_PROFILE=ci $(BIN)/pytest -n $(WORKERS) -m "not slow"

soak: setup-bench ## the full sizes: slow tests, one after the other (hours)
	HYPOTHESIS_PROFILE=soak $(BIN)/pytest -m slow --durations=20

bench: setup-bench ## measure against the peers; writes benchmarks/results/*.json (needs HASHLIPS_DIR, AGENDA_DIR)
	@status=0; for name in $(BENCHES); do \
	  echo "== $$name"; $(BIN)/python -m benchmarks.$$name || status=1; \
	done; $(BIN)/python -m benchmarks.report; exit $$status

docs: setup-test ## write the generated parts of the reference pages anew
	$(BIN)/python -m scripts.reference

lock: setup ## resolve pyproject.toml anew into requirements/*.txt
	@scripts/lock.sh

clean: ## remove everything that was made here, but no data of yours
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
