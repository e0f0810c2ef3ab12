# The verbs. `make` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test check fmt bench bench-peers gen docs soak dist audit clean web python

BIN := target/debug/chatsdk
VENV := target/venv

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: web ## Build everything and start `chatsdk dev`; it prints a page and a curl that works
	cargo run --quiet --release -p chatsdk-server --bin chatsdk -- dev $(ARGS)

test: web python ## Install what the tests need, and run every test
	scripts/need.sh postgres chromium go ruby
	cargo test --workspace --no-fail-fast
	npm test
	npm run test:realtime
	cargo build -p chatsdk-server
	CHATSDK_BIN="$(CURDIR)/$(BIN)" npm run test:e2e
	CHATSDK_BIN="$(CURDIR)/$(BIN)" $(VENV)/bin/python -m pytest -q -p no:cacheprovider tests/e2e tests/realtime/python
	CHATSDK_BIN="$(CURDIR)/$(BIN)" $(VENV)/bin/python -m pytest -q -p no:cacheprovider -c python/pyproject.toml python/tests tests/snippets/backend tests/guides
	cd tests/realtime/go && go test ./...

check: web python ## Format, lints, types, pages of the SDKs, and that generated files are what their sources say
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	npm run lint
	npm run typecheck
	npm run --silent build -w api-docs
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps -p chatsdk-client
	$(VENV)/bin/python -m pdoc -o target/docs/python chatsdk
	cd python && ../$(VENV)/bin/ruff format --check . && ../$(VENV)/bin/ruff check . && ../$(VENV)/bin/mypy
	scripts/generated.sh --check

fmt: ## Format everything
	cargo fmt --all
	npm run format

gen: ## Write the generated files: API description, references of errors, metrics and configuration
	scripts/generated.sh --write

bench: ## Measure the product beside its floors, and write docs/benchmarks.md
	scripts/need.sh postgres
	cargo build --release -p chatsdk-server -p chatsdk-bench
	cargo build --release -p chatsdk-realtime --example pubsub
	target/release/chatsdk-bench all --write docs/benchmarks.md

bench-peers: ## Measure the realtime engine beside the Go library of its protocol, and print it (needs Go)
	@if ! command -v go >/dev/null; then echo "skipped: the peer is written in Go, and there is no Go here"; exit 0; fi; set -x; \
	(cd bench/peers/centrifuge && go build -o ../../../target/peers/centrifuge .); \
	cargo build --release -p chatsdk-bench; \
	cargo build --release -p chatsdk-realtime --example pubsub; \
	target/release/chatsdk-bench realtime --peer target/peers/centrifuge $(ARGS)

docs: web python ## Write the pages of every SDK from its sources: target/docs
	npm run --silent build -w api-docs
	cargo doc --no-deps -p chatsdk-client --target-dir target/docs/rust
	$(VENV)/bin/python -m pdoc -o target/docs/python chatsdk

soak: web ## Run the lifecycle of clients, and the delivery of messages, against faults, many times over (minutes)
	cargo run --release -p chatsdk-simulator
	SOAK=$${SOAK:-30} cargo test --release -p chatsdk-realtime --test sockets soak
	LIFECYCLE_RUNS=$${LIFECYCLE_RUNS:-500} npx vitest run --project unit packages/core/test/lifecycle.property.test.ts

dist: web ## Build the release binary with its pages: target/release/chatsdk
	cargo build --release -p chatsdk-server

audit: ## Check licences, sources and bans of every dependency (installs cargo-deny, which takes minutes)
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check bans licenses sources

web: node_modules/.package-lock.json
	npm run build

node_modules/.package-lock.json: package-lock.json
	npm ci --no-audit --no-fund
	touch $@

python: $(VENV)/.installed

$(VENV)/.installed: tests/e2e/requirements.txt tests/realtime/python/requirements.txt python/requirements.txt python/pyproject.toml
	scripts/need.sh venv
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -r tests/e2e/requirements.txt -r tests/realtime/python/requirements.txt -r python/requirements.txt -e 'python[verify,fastapi]'
	touch $@

clean: ## Remove what was built
	rm -rf target node_modules packages/*/dist dashboard/dist
