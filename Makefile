# Every task of the project. Needs rustup's cargo, a python3 (3.10 or newer) with venv, and make;
# what else is needed is installed, pinned, into .tools/.
# Paths are relative wherever make sees them, so that a checkout below a folder with a space works.

PYTHON ?= python3
CARGO ?= cargo

VENV := .tools/venv
BENCH_VENV := .tools/bench
LINT_VENV := .tools/lint
LOCKERS_VENV := .tools/lockers
POETRY1_VENV := .tools/poetry1
PYPISERVER_VENV := .tools/pypiserver
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := .tools/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
# The newest that the pinned toolchain compiles.
CARGO_SHEAR_VERSION := 1.9.1
CARGO_SHEAR := .tools/cargo-shear-$(CARGO_SHEAR_VERSION)/bin/cargo-shear
CARGO_CYCLONEDX_VERSION := 0.5.9
CARGO_CYCLONEDX := .tools/cargo-cyclonedx-$(CARGO_CYCLONEDX_VERSION)/bin/cargo-cyclonedx
CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := .tools/cargo-fuzz-$(CARGO_FUZZ_VERSION)/bin/cargo-fuzz
# Sanitizers and coverage counters are only there.
FUZZ_TOOLCHAIN ?= nightly
# The pinned uv before whatever else is installed; what Pythons there are has to do.
WITH_TOOLS := UV_PYTHON_DOWNLOADS=never PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
# The stack as `make stack` leaves it.
WITH_STACK := $(WITH_TOOLS) ACCRETION_TEMPLATE="$(CURDIR)/sam/.aws-sam/build/template.yaml"

.DEFAULT_GOAL := help
.PHONY: help tools interpreters fresh build compile stack demo emulator picture test test-all examples corpus simulation fuzz lint advisories sbom pypiserver lockers bench bench-pipeline bench-command scaling \
  scaling-measure tool-locks clean-tools release-tools wheel

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' Makefile

# $(call venv,folder,lock,minor): a virtual environment that holds exactly what the lock says, made
# with Python 3.minor or newer. The lock is copied into it last, so that it is made again if the lock
# changed or an attempt was cut off. --no-deps because the lock is complete: older pips refuse a
# range between packages that are all pinned. --no-compile because most modules are never imported.
define venv
@if ! cmp -s "$(2)" "$(1)/installed.txt" || ! "$(1)/bin/python" -c ""; then \
  set -e; \
  "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, $(3)))' \
    || { echo "error: $(PYTHON) is older than Python 3.$(3); hint: make PYTHON=/path/to/python3" >&2; exit 1; }; \
  echo "installing $(2) into $(1)"; \
  "$(PYTHON)" -m venv --clear "$(1)"; \
  "$(1)/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --no-deps --require-hashes --only-binary :all: --no-compile -r "$(2)"; \
  cp "$(2)" "$(1)/installed.txt"; \
fi
endef

tools: ## install the pinned tools (uv, SAM, MiniStack, what the harnesses need) into .tools/venv
	$(call venv,$(VENV),tests/tools/requirements.txt,10)

# Each release that the pinned uv knows, held against its hash. They are not on any package index.
interpreters: tools ## install CPython 3.12 to 3.14, which some tests import layers with, into .tools
	$(VENV)/bin/uv python install --no-config --no-bin --install-dir .tools/interpreters 3.12 3.13 3.14

lockers: tools ## install what makes lock files (poetry, pipenv, pdm) into .tools
	$(call venv,$(LOCKERS_VENV),tests/tools/lockers.txt,10)
	$(call venv,$(POETRY1_VENV),tests/tools/poetry1.txt,10)

pypiserver: tools ## install a package index with authentication, for the tests, into .tools
	$(call venv,$(PYPISERVER_VENV),tests/tools/pypiserver.txt,10)

build: ## build everything, unoptimised
	$(CARGO) build --workspace --all-targets --locked

# As functions/Makefile does it for `sam build`, which then finds all of it made.
compile:
	$(CARGO) build --workspace --bins --examples --locked

stack: tools ## build the stack for this machine, unoptimised: what `sam deploy` deploys to MiniStack
	cd sam && $(WITH_TOOLS) SAM_CLI_TELEMETRY=0 SAM_BUILD_MODE=debug sam build --config-env local

# The pinned uv as it is for another machine; pip holds it against the hashes of the tools' lock.
.tools/uv-%/uv: tests/tools/requirements.txt | tools
	rm -rf $(@D)
	mkdir -p $(@D)
	awk '/^[a-z]/ { uv = /^uv==/ } uv' $< > $(@D)/requirements.txt
	$(VENV)/bin/python -m pip download --quiet --disable-pip-version-check --no-input --no-deps \
	  --require-hashes --only-binary :all: --platform manylinux2014_$* --dest $(@D) \
	  -r $(@D)/requirements.txt
	cd $(@D) && "$(CURDIR)/$(VENV)/bin/python" -m zipfile -e uv-*.whl wheel
	mv $(@D)/wheel/uv-*.data/scripts/uv $@
	mv $(@D)/wheel/uv-*.dist-info/sboms/uv.cyclonedx.json $(@D)/
	chmod 0755 $@
	touch $@ $(@D)/uv.cyclonedx.json
	rm -rf $(@D)/wheel $(@D)/*.whl

# What that uv is made of, as its own wheel says. It may have been taken out before this was kept.
.tools/uv-%/uv.cyclonedx.json: .tools/uv-%/uv
	test -e $@ || { rm $< && $(MAKE) $<; }

# Not only a step on the way to that.
.PRECIOUS: .tools/uv-%/uv

# What compiles the functions for Lambda, and the command for its wheels, from any machine.
release-tools:
	$(call venv,.tools/release,tests/tools/release.txt,10)
	@rustup target list --installed | grep -qx "$(RUST_TARGET)" || rustup target add "$(RUST_TARGET)"

# Downloads take turns with the network, the compiler with the processor.
demo: ## run the pipeline on this machine: drop the examples, watch their layers come about
	@echo "compiling the functions: some 6 minutes on two cores the first time, later seconds"
	+@$(MAKE) --no-print-directory --jobs=2 compile .tools/uv-$(shell uname -m)/uv
	+@$(MAKE) --no-print-directory stack
	$(WITH_STACK) $(or $(CARGO_TARGET_DIR),target)/debug/demo

emulator: stack ## run an emulator of AWS on this machine until ctrl-C, for the command to speak to
	@$(WITH_STACK) $(or $(CARGO_TARGET_DIR),target)/debug/emulator

picture: stack ## draw what people see who use the command, for README.md; needs tmux
	$(CARGO) build --locked -p accretion
	$(WITH_STACK) $(VENV)/bin/python tests/terminal/record.py

test: ## run the tests, or SUITES alone; all but the long ones
	+@$(run-tests)

test-all: sbom ## run every test
	+@$(run-tests) --all

# The tests first: what does not compile is not to come as a failure of SAM.
define run-tests
$(MAKE) --no-print-directory tools pypiserver lockers \
  && $(CARGO) test --workspace --locked --no-run \
  && $(MAKE) --no-print-directory stack \
  && $(WITH_STACK) $(VENV)/bin/python tests/run.py --cargo "$(CARGO)" $(SUITES)
endef

# The layer is made by the command; npm's own lock is of no use to anything else here.
examples: tools ## try the examples of docs/using-layers.md with SAM, the CDK and Serverless; needs npm
	npm install --silent --no-audit --no-fund --prefix .tools/examples aws-cdk@2.1148.1 serverless@3.40.0
	$(VENV)/bin/uv venv --quiet --allow-existing --python $(VENV)/bin/python .tools/examples/venv
	$(VENV)/bin/uv pip install --quiet --python .tools/examples/venv/bin/python aws-cdk-lib==2.275.0
	$(CARGO) build --locked -p integration-tests --bin accretion-under-test
	$(WITH_TOOLS) $(or $(CARGO_TARGET_DIR),target)/debug/accretion-under-test build examples/web/requirements.txt \
	  --runtime python3.13 --architecture arm64 --output .tools/examples/layers
	$(VENV)/bin/python tests/snippets/try.py .tools/examples/layers/web-py313-arm64.zip \
	  .tools/examples/node_modules/.bin .tools/examples/venv/bin/python

fresh: ## run what README has people run first, in a fresh clone, without anything of this user's
	tests/fresh/run.sh

corpus: tools ## build layers of three hundred distributions with odd wheels and compare them with uv's
	$(CARGO) build --locked -p integration-tests --bin accretion-under-test
	$(WITH_TOOLS) $(VENV)/bin/python tests/popular/run.py --odd tests/popular/corpus.txt \
	  --accretion $(or $(CARGO_TARGET_DIR),target)/debug/accretion-under-test $(NAMES)

# One seed after the other until one fails, as fast as it goes. From FIRST_SEED on, 0 by default.
SEEDS ?= 1000000
simulation: ## run SEEDS seeds of the simulation (a million), optimised
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 SEEDS=$(SEEDS) \
	  $(CARGO) test --release --locked -p integration-tests --test simulation nothing_is_lost_in_a_short_run -- --nocapture

# What is found lies in fuzz/artifacts, what was tried and is of interest in fuzz/corpus.
FUZZ_SECONDS ?= 60
TARGET ?= $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))
fuzz: tools $(CARGO_FUZZ) ## fuzz each target, or TARGET alone, for FUZZ_SECONDS (60); needs a nightly toolchain
	$(CARGO) run --quiet --locked -p accretion-fuzz --example forge_seeds -- fuzz/corpus
	set -e; for target in $(TARGET); do \
	  mkdir -p fuzz/corpus/$$target fuzz/seeds/$$target; \
	  dictionary=fuzz/dictionaries/$$target.dict; \
	  $(WITH_TOOLS) RUSTUP_TOOLCHAIN=$(FUZZ_TOOLCHAIN) $(CARGO_FUZZ) run --features libfuzzer $$target \
	    fuzz/corpus/$$target fuzz/seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
	    -max_len=4096 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=256 \
	    $$(test ! -f $$dictionary || echo -dict=$$dictionary); \
	done

lint: clippy check ## check the code, its formatting, the dependencies and the stack

clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy -p accretion --no-default-features --all-targets --locked -- -D warnings

# All of it but what the compiler finds.
check: tools $(CARGO_DENY) $(CARGO_SHEAR)
	$(call venv,$(LINT_VENV),tests/tools/lint.txt,10)
	$(CARGO) fmt --all --check
	$(CARGO_DENY) --workspace --locked check bans licenses sources
	$(CARGO_SHEAR)
	cd sam && $(WITH_TOOLS) SAM_CLI_TELEMETRY=0 sam validate --lint
	$(VENV)/bin/cfn-lint --regions us-east-1 cn-north-1 us-gov-west-1 -- sam/template.yaml
	@said="$$($(LINT_VENV)/bin/checkov --framework cloudformation --file sam/template.yaml \
	  --skip-download --compact --quiet 2>&1)" || failed=1; echo "$$said"; test -z "$$failed" || exit 1; \
	case "$$said" in *"arsing errors"*) echo "error: checkov cannot parse the template" >&2; exit 1;; esac

# Fetches the advisory database, which lint does not: it has to work without network.
advisories: $(CARGO_DENY) ## look for known vulnerabilities in the dependencies
	$(CARGO_DENY) --workspace --locked check advisories

# Of the functions and the command as they are for SBOM_MACHINE, x86_64 or aarch64.
SBOM_MACHINE ?= $(subst arm64,aarch64,$(shell uname -m))
sbom: tools $(CARGO_CYCLONEDX) .tools/uv-$(SBOM_MACHINE)/uv.cyclonedx.json ## list what a release is made of, into dist/sbom
	$(call venv,$(LINT_VENV),tests/tools/lint.txt,10)
	$(LINT_VENV)/bin/python tests/sbom/sbom.py --cyclonedx $(CARGO_CYCLONEDX) \
	  --uv .tools/uv-$(SBOM_MACHINE) --machine $(SBOM_MACHINE)

# Unoptimised: they compile in far less time and are done with this tree in a second.
$(CARGO_DENY):
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --locked --debug --root .tools/cargo-deny-$(CARGO_DENY_VERSION) \
	  cargo-deny@$(CARGO_DENY_VERSION)

$(CARGO_SHEAR):
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --locked --debug --root .tools/cargo-shear-$(CARGO_SHEAR_VERSION) \
	  cargo-shear@$(CARGO_SHEAR_VERSION)

$(CARGO_CYCLONEDX):
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --locked --debug --root .tools/cargo-cyclonedx-$(CARGO_CYCLONEDX_VERSION) \
	  cargo-cyclonedx@$(CARGO_CYCLONEDX_VERSION)

$(CARGO_FUZZ):
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --locked --debug --root .tools/cargo-fuzz-$(CARGO_FUZZ_VERSION) \
	  cargo-fuzz@$(CARGO_FUZZ_VERSION)

# Each is manylinux or musllinux, and x86_64 or aarch64: "manylinux-x86_64 musllinux-aarch64".
WHEEL_TARGETS ?= manylinux-$(subst arm64,aarch64,$(shell uname -m))
wheel: tools ## build the command's wheels for WHEEL_TARGETS (this machine), and its sources, into dist/wheels, and try them
	$(CARGO) build --locked -p accretion
	rm -rf accretion.data dist/wheels
	set -e; \
	  accretion="$(or $(CARGO_TARGET_DIR),target)/debug/accretion"; share=accretion.data/data/share; \
	  mkdir -p $$share/bash-completion/completions $$share/zsh/site-functions \
	    $$share/fish/vendor_completions.d; \
	  "$$accretion" man $$share/man/man1; \
	  "$$accretion" completions bash > $$share/bash-completion/completions/accretion; \
	  "$$accretion" completions zsh > $$share/zsh/site-functions/_accretion; \
	  "$$accretion" completions fish > $$share/fish/vendor_completions.d/accretion.fish
	+$(foreach target,$(WHEEL_TARGETS),$(call build-wheel,$(subst -, ,$(target))) &&) true
	$(WITH_MATURIN) sdist --out dist/wheels
	rm -rf accretion.data
	$(VENV)/bin/python tests/wheel/try.py dist/wheels

# $(call build-wheel,kind machine). The glibc is that of uv's own wheels, and the oldest one that Rust
# supports. Programs for musl are linked statically.
define build-wheel
$(MAKE) --no-print-directory release-tools RUST_TARGET=$(call wheel-triple,$(1)) \
  && $(MAKE) --no-print-directory sbom SBOM_MACHINE=$(word 2,$(1)) \
  && $(WITH_MATURIN) build --release --locked --zig --target $(call wheel-triple,$(1)) \
    --compatibility $(if $(filter musllinux,$(1)),musllinux_1_1,manylinux2014) \
    --sbom-include dist/sbom/accretion-$(word 2,$(1)).cdx.json --out dist/wheels
endef
wheel-triple = $(word 2,$(1))-unknown-linux-$(if $(filter musllinux,$(1)),musl,gnu)
# The time of all files in a wheel, so that the same commit gives the same bytes: the first that a zip can
# have. With that of a commit, cargo would compile most crates again after each, because a build
# script of aws-lc-sys reads it.
WITH_MATURIN = SOURCE_DATE_EPOCH=315532800 PATH="$(CURDIR)/.tools/release/bin:$$PATH" maturin

bench: tools lockers ## measure against the usual ways to build a layer
	$(call venv,$(BENCH_VENV),tests/bench/requirements.txt,11)
	$(BENCH_VENV)/bin/python -m unittest discover --quiet -s tests/bench -t tests/bench
	$(CARGO) build --release --locked -p accretion
	$(WITH_TOOLS) $(BENCH_VENV)/bin/python tests/bench/bench.py $(ARGS)

bench-pipeline: stack ## measure the pipeline on this machine
	$(WITH_TOOLS) $(or $(CARGO_TARGET_DIR),target)/debug/bench

bench-command: tools ## measure the command with hundreds of layers on an emulator of AWS
	$(CARGO) build --release --locked -p accretion
	$(WITH_TOOLS) $(VENV)/bin/python tests/scaling/command.py

scaling: tools ## write docs/scaling.md out of what was measured, of quotas and of prices
	$(VENV)/bin/python tests/scaling/model.py

# With the functions as they are deployed, so that times mean something: the first run compiles them.
scaling-measure: tools ## measure what a request asks of AWS, on this machine, and write docs/scaling.md
	cd sam && $(WITH_TOOLS) SAM_CLI_TELEMETRY=0 sam build --config-env local --build-dir .aws-sam/release
	$(WITH_TOOLS) $(VENV)/bin/python tests/scaling/measure.py
	$(MAKE) scaling

# $(call lock,name): pins tests/tools/name.in, for every platform and Python 3.10 or newer.
define lock
$(VENV)/bin/uv pip compile --quiet --no-config --universal --generate-hashes \
  --python $(VENV)/bin/python --python-version 3.10 \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make tool-locks' \
  --output-file tests/tools/$(1).txt tests/tools/$(1).in
endef

tool-locks: tools ## pin the tools again after a change of tests/tools/*.in
	$(call lock,requirements)
	$(call lock,lint)
	$(call lock,lockers)
	$(call lock,poetry1)
	$(call lock,pypiserver)
	$(call lock,release)

clean-tools: ## remove the installed tools and the caches of the tests
	rm -rf .tools
