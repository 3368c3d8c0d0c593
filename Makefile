# Everything by one word each; `make help` lists them.

CARGO ?= cargo

.PHONY: help test check tools bench simulate chaos

help: ## lists these words
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

tools: ## installs what the tests need
	@tests/tools

test: tools check ## installs what the tests need, then checks and tests everything
	$(CARGO) test

check: ## format and lints, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- --deny warnings

bench: ## measures speed, each figure beside its baseline
	$(CARGO) bench --bench overhead
	$(CARGO) bench --bench store

SEEDS ?= 2000

simulate: ## runs the simulator on SEEDS seeds (2000), from FIRST (1), on all cores
	STARWRIGHT_SIM_SEEDS=$(SEEDS) STARWRIGHT_SIM_FIRST=$(or $(FIRST),1) $(CARGO) test --lib engine::tests::sim::seeds -- --nocapture
