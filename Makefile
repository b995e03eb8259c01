# `make run` shows what Oarlock does; `make test` tests it. Each sets up what it needs and says so.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

WASM := wasm32-wasip1
PLUGIN_BUILD := cargo build --profile plugin --target $(WASM)
BUILT := target/$(WASM)/plugin
# The examples with a grant file.
CONTROLLERS := copy-config default-deny label-defaulter ttl website
# What makes a component of Python, and where it is kept.
COMPONENTIZE_PY := 0.25.1
PYTHON := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/oarlock/componentize-py-$(COMPONENTIZE_PY)
# Installs packages of Debian for something: $(call install,PACKAGES,FOR WHAT).
install = \
  as_root=; [ "$$(id -u)" = 0 ] || as_root=$$(command -v sudo) || { echo "as root: apt-get install $(1)"; exit 1; }; \
  command -v apt-get >/dev/null || { echo "$(2) needs what is $(1) on Debian"; exit 1; }; \
  echo "installing $(1), for $(2)"; \
  $$as_root apt-get update -qq; \
  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(1) >/dev/null
# Build where the rules below look, whatever the environment says.
export CARGO_TARGET_DIR := target

.PHONY: help
help: ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

.PHONY: run
run: build run-plugin ## Run the default plugin on the manifests in examples/
	@echo
	@echo "Below are the containers of each ReplicaSet in examples/manifests. While it runs, in another terminal:"
	@echo "  - change a name in examples/manifests/replicasets.yaml, and its line is printed again;"
	@echo "  - change plugins/print-containers/src/lib.rs and run 'make run-plugin', and the new plugin takes over."
	@echo "Stop it with ctrl-C."
	@echo
	@target/release/oarlock run --plugins target/run --manifests examples/manifests

.PHONY: run-cluster
run-cluster: build run-plugin ## The same on the cluster of the current kubeconfig
	@target/release/oarlock run --plugins target/run

.PHONY: run-plugin
run-plugin: default-plugin ## Build the default plugin anew for `make run`
	@mkdir -p target/run
	@cp target/plugins/print-containers.wasm target/run/

.PHONY: default-plugin
default-plugin: wasm-target
	@echo "building the default plugin"
	@$(PLUGIN_BUILD) --quiet -p print-containers
	@mkdir -p target/plugins
	@cp $(BUILT)/print_containers.wasm target/plugins/print-containers.wasm

.PHONY: build
build: ## Build target/release/oarlock
	@command -v cc >/dev/null || { echo "a C compiler is needed: apt-get install build-essential, say"; exit 1; }
	@[ -x target/release/oarlock ] || echo "building the host: 5 to 10 minutes the first time"
	@cargo build --release -p oarlock

.PHONY: plugins
plugins: wasm-target wasi-c wabt target/plugins/labels.wasm ## Build every plugin of plugins/ and examples/ as target/plugins/NAME.wasm
	@echo "building the plugins"
	@$(PLUGIN_BUILD) -p print-containers -p replicas -p selectors $(CONTROLLERS:%=-p %)
	@mkdir -p target/plugins
	@cp $(BUILT)/print_containers.wasm target/plugins/print-containers.wasm
	@cp $(BUILT)/{replicas,selectors}.wasm target/plugins/
	@for name in $(CONTROLLERS); do \
	  cp examples/$$name/$$name.yaml target/plugins/$$name.yaml; \
	  cp $(BUILT)/$${name//-/_}.wasm target/plugins/$$name.wasm; \
	done
	@clang --target=wasm32-wasi -O2 -Wall -Wextra -Werror -o target/plugins/images.wasm examples/images/images.c
	@wat2wasm examples/calls/calls.wat -o target/plugins/calls.wasm

target/plugins/labels.wasm: examples/labels/labels.py wit/oarlock.wit | $(PYTHON)/bin/componentize-py
	@echo "building the plugin in Python: half a minute"
	@mkdir -p target/plugins
	@$(PYTHON)/bin/componentize-py --quiet -d wit -w reconciler componentize -p examples/labels labels -o $@

.PHONY: test-guests
test-guests: wasm-target
	@echo "building the plugins of the tests"
	@$(PLUGIN_BUILD) -p probe
	@mkdir -p target/test-guests
	@cp $(BUILT)/probe.wasm target/test-guests/probe.wasm

# What Prometheus checks rules and metrics with.
.PHONY: promtool
promtool:
	@host/tests/monitoring/promtool.sh >/dev/null

.PHONY: bench-guests
bench-guests: wasm-target
	@echo "building the plugins of the benchmarks"
	@$(PLUGIN_BUILD) -p print-containers -p bench-guests --lib --examples
	@mkdir -p target/bench-guests
	@cp $(BUILT)/print_containers.wasm target/bench-guests/print-containers.wasm
	@cp $(BUILT)/examples/{empty,fields,get,versioned}.wasm target/bench-guests/

.PHONY: bench-micro
bench-micro: bench-guests ## Measure the parts that a call is made of, which is a part of `make bench`; 3 minutes
	@cargo bench -p bench-micro >/dev/null

.PHONY: test
test: plugins test-guests deploy-tools promtool browser ## Test everything, against a real control plane
	@assets=$$(host/tests/control-plane/build.sh); \
	OARLOCK_TEST_CONTROL_PLANE=$$assets cargo test --workspace
	@echo "testing the feature otlp"
	@cargo test -p oarlock --features otlp --test otlp

.PHONY: test-fast
test-fast: plugins test-guests deploy-tools promtool ## Test what needs no control plane
	@cargo test --workspace --exclude oarlock
	@cargo test -p oarlock --lib --bins --test author --test fast --test fuzz --test latency

.PHONY: screenshots
screenshots: plugins test-guests browser ## Take the pictures of the status page in docs/images anew; 5 minutes
	@cargo test -p oarlock --test browser pictures -- --ignored

# On tmpfs where there is one: etcd waits for each write to reach the disk.
.PHONY: soak
soak: build plugins test-guests ## Run the host for an hour, or MINUTES=6, under all that can go wrong, and print figures
	@assets=$$(host/tests/control-plane/build.sh); \
	[ ! -d /dev/shm ] || export TMPDIR=/dev/shm; \
	OARLOCK_TEST_CONTROL_PLANE=$$assets OARLOCK_TEST_HOST=$(CURDIR)/target/release/oarlock MINUTES=$(or $(MINUTES),60) \
	  cargo test -p oarlock --test cluster soak -- --ignored --nocapture

# On tmpfs too: what is measured is not the disk of etcd.
.PHONY: bench
bench: default-plugin bench-guests ## Measure all of docs/benchmarks.md anew, or less with SIZES="1000 5000" (numbers of objects)
	@assets=$$(host/tests/control-plane/build.sh); \
	echo "building the host and what it is compared with, as for an image: half an hour the first time"; \
	cargo rustc --profile dist -p oarlock --bin oarlock -- -C link-arg=-Wl,-z,pack-relative-relocs; \
	cargo build --profile dist -p oarlock --example native --example floor; \
	cargo bench -p oarlock --bench cluster --no-run; \
	[ ! -d /dev/shm ] || export TMPDIR=/dev/shm; \
	OARLOCK_TEST_CONTROL_PLANE=$$assets cargo bench -p oarlock --bench cluster -- $(if $(SIZES),throughput $(SIZES))
	@$(if $(SIZES),,$(MAKE) --no-print-directory bench-micro)

.PHONY: fuzz
fuzz: plugins ## Look for bytes that do harm, SECONDS (60) for each of the targets of host/tests/fuzz
	@command -v cargo-fuzz >/dev/null || { echo "installing cargo-fuzz"; cargo install --quiet --locked cargo-fuzz; }
	@for name in object manifests grant plugin; do \
	  echo "fuzzing $$name"; \
	  mkdir -p target/fuzz/corpus/$$name; \
	  seeds=host/fuzz/corpus/$$name; [ $$name != plugin ] || seeds="$$seeds target/plugins"; \
	  cargo fuzz run --fuzz-dir host/fuzz --target-dir target/fuzz --sanitizer none $$name \
	    target/fuzz/corpus/$$name $$seeds -- -max_total_time=$(or $(SECONDS),60) -timeout=30; \
	done

.PHONY: lint
lint: ## Check format, lints and documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p oarlock --features otlp --test otlp -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and sources of dependencies are not checked"; fi

.PHONY: audit
audit: ## Check the dependencies against known advisories (needs cargo-deny or cargo-audit, and their database)
	@if command -v cargo-deny >/dev/null; then cargo deny check; \
	elif command -v cargo-audit >/dev/null; then cargo audit; \
	else echo "not checked: neither cargo-deny nor cargo-audit is installed; cargo install --locked cargo-deny"; exit 1; fi

.PHONY: wasm-target
wasm-target:
	@rustup target list --installed | grep -qx $(WASM) || { echo "adding the Rust target $(WASM)"; rustup target add $(WASM); }

.PHONY: deploy-tools
deploy-tools:
	@host/tests/deploy-tools/fetch.sh >/dev/null

# A browser to look at the status page with.
.PHONY: browser
browser:
	@if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then \
	  $(call install,chromium chromium-driver,host/tests/browser); \
	fi

# Debian's clang and C library for WASI, for the example in C.
.PHONY: wasi-c
wasi-c:
	@if ! command -v wasm-ld >/dev/null || [ ! -e /usr/lib/wasm32-wasi/libc.a ] || \
	    [ ! -e "$$(clang --target=wasm32-wasi --print-libgcc-file-name 2>/dev/null)" ]; then \
	  $(call install,clang lld wasi-libc libclang-rt-dev-wasm32,examples/images); \
	fi

# Debian's wabt, for the example in WebAssembly's text format.
.PHONY: wabt
wabt:
	@if ! command -v wat2wasm >/dev/null; then $(call install,wabt,examples/calls); fi

# In a cache folder, for the example in Python.
$(PYTHON)/bin/componentize-py:
	@if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then $(call install,python3-venv,examples/labels); fi
	@echo "installing componentize-py $(COMPONENTIZE_PY) into $(PYTHON), for examples/labels"
	@python3 -m venv $(PYTHON)
	@$(PYTHON)/bin/pip install --quiet --disable-pip-version-check componentize-py==$(COMPONENTIZE_PY)
