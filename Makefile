# Everything by one word each; `make help` lists them.

CARGO ?= cargo

.PHONY: help test test-full bars check commits tools bench simulate chaos torture fuzz

help: ## lists these words
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

tools: ## installs what the tests need
	@tests/tools

test: tools check ## installs what the tests need, then checks and tests everything
	$(CARGO) test

# The order: what fails soonest comes first.
test-full: test commits ## everything: each browser size, a log of 1 GB, long simulation, torture, fuzzing and chaos (hours)
	STARWRIGHT_TEST_FULL=1 $(CARGO) test --release --test it -- web::browser bars::logs
	$(MAKE) simulate SEEDS=10000
	$(MAKE) torture
	$(MAKE) fuzz
	$(MAKE) chaos

commits: ## compiles each commit since UPSTREAM (origin/main)
	@tests/each_commit $(or $(UPSTREAM),origin/main)

bars: ## the benchmarks and figures as one report, target/bars.txt
	@tests/bars

check: ## format and lints, warnings denied
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets -- --deny warnings

chaos: ## kills, cuts off and upgrades a whole installation, ten minutes for each profile (STARWRIGHT_CHAOS_SECONDS, STARWRIGHT_CHAOS_SEED)
	STARWRIGHT_CHAOS_SECONDS=$${STARWRIGHT_CHAOS_SECONDS:-600} STARWRIGHT_CHAOS_SEED=$${STARWRIGHT_CHAOS_SEED:-$$(date +%s)} \
		$(CARGO) test --test it chaos:: -- --nocapture --test-threads=1

bench: ## measures speed, each figure beside its baseline
	$(CARGO) bench --bench overhead
	$(CARGO) bench --bench store
	$(CARGO) bench --bench fill
	$(CARGO) bench --bench evaluator
	$(CARGO) bench --bench scale

PROGRAMS ?= 1000000
BUILDS ?= 10000
HOOKS ?= 1000000
REQUESTS ?= 1000000

fuzz: ## makes up PROGRAMS=1000000 programs, BUILDS=10000 builds, REQUESTS=1000000 requests and HOOKS=1000000 calls of forges, from SEED (1)
	STARWRIGHT_FUZZ_PROGRAMS=$(PROGRAMS) STARWRIGHT_FUZZ_BUILDS=$(BUILDS) STARWRIGHT_FUZZ_REQUESTS=$(REQUESTS) \
		STARWRIGHT_FUZZ_HOOKS=$(HOOKS) STARWRIGHT_FUZZ_SEED=$(or $(SEED),1) \
		$(CARGO) test --release --test it fuzz:: -- --nocapture

ROUNDS ?= 500

torture: ## kills the store under load with kill -9, ROUNDS=500 times, and looks for what is lost
	STARWRIGHT_STORE_KILLS=$(ROUNDS) $(CARGO) test --test it store_crash -- --nocapture

SEEDS ?= 2000

simulate: ## runs the simulator on SEEDS seeds (2000), from FIRST (1), on all cores
	STARWRIGHT_SIM_SEEDS=$(SEEDS) STARWRIGHT_SIM_FIRST=$(or $(FIRST),1) $(CARGO) test --lib engine::tests::sim::seeds -- --nocapture
