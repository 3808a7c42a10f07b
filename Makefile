# Weir's front door. `make help` lists what can be asked for.
#
# Everything is built by the user who calls make; root is used, through sudo where needed, only to install Debian
# packages, to run a gateway and to run the tests that make network namespaces.

.DEFAULT_GOAL := help
.PHONY: help run lab build web user check test test-web test-monitoring soak bench bench-crypto bench-handshakes crypto-cases sanitize timing fuzz peers fmt clean deps build-deps run-deps test-deps dependency-check test-vm kernels check-aarch64

comma := ,
TARGET := $(or $(CARGO_TARGET_DIR),target)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# Has cargo start tests as root.
AS_ROOT = $(if $(SUDO),--config "target.'cfg(all())'.runner = 'sudo -E'")

# The command behind `make run`. ENDPOINT= is the address that clients will use; NIC= and LAN= are devices of AF_XDP.
WEIR_RUN = $(TARGET)/release/weir run $(if $(ENDPOINT),--endpoint $(ENDPOINT)) $(if $(NIC),--nic $(NIC)) $(if $(LAN),--lan $(LAN))

# The gateway that `make lab` measures: weir, wireguard-go, boringtun or gotatun. XDP=1 gives weir ports of AF_XDP, in the
# mode XDP_MODE=.
GATEWAY ?= weir

# Crates without sockets, files or privileges, whose tests run anywhere.
PURE_CRATES := abi wire frame crypto noise config engine testkit model

# Rust code and the XDP program; libbpf is built from its crate.
BUILD_PACKAGES := gcc libc6-dev make pkg-config clang llvm libelf-dev zlib1g-dev
# The page; a Node.js of at least version 18 that is on PATH with npm will do.
BUILD_PACKAGES += $(shell command -v npm > /dev/null && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' \
	2> /dev/null || echo nodejs npm)
RUN_PACKAGES := iproute2 nftables wireguard-tools
# Network namespaces and peers; then the virtual machines.
TEST_PACKAGES := iperf3 iputils-ping traceroute tcpdump ethtool iptables procps valgrind \
	qemu-system-x86 busybox-static cpio kmod xz-utils \
	bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso \
	chromium fonts-dejavu-core python3-venv

# A compiler and libraries for another architecture, and an emulator of its instructions.
ARM64 := aarch64-unknown-linux-gnu
ARM64_PACKAGES := gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user

# Libraries that the AEAD is measured beside; Intel's is for its own instruction set.
X86_64 := $(filter x86_64,$(shell uname -m))
BENCH_CRYPTO_PACKAGES := $(if $(X86_64),libipsec-mb-dev)
BENCH_CRYPTO_FEATURES := aws-lc$(if $(X86_64),$(comma)ipsec-mb)

# DEPS=no leaves installing packages to you, as on systems other than Debian.
DEPS ?= yes

# Names the packages of $(1) that are missing, then installs just these.
define install_missing
@[ "$(DEPS)" = yes ] || exit 0; \
command -v dpkg-query > /dev/null || { \
	echo "Not a Debian system. Install what corresponds to: $(1)"; \
	echo "then run make with DEPS=no."; exit 1; }; \
missing=""; \
for package in $(1); do \
	[ "$$(dpkg-query -W -f '$${db:Status-Status}' $$package 2> /dev/null)" = installed ] || \
		missing="$$missing $$package"; \
done; \
[ -n "$$missing" ] || exit 0; \
echo "Debian packages to install:$$missing"; \
$(SUDO) apt-get -qq update && \
$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing > /dev/null
endef

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: run-deps build user ## start a gateway on this host (ENDPOINT=address for clients, NIC= and LAN= by AF_XDP); Ctrl-C ends it
	@$(SUDO) $(WEIR_RUN)

# Whom the control process runs as.
user:
	@getent passwd weir > /dev/null || { echo "System user to make: weir"; \
		$(SUDO) useradd --system --user-group --no-create-home --shell /usr/sbin/nologin weir; }

lab: test-deps build ## client, gateway and server in network namespaces, measured (GATEWAY=weir, XDP=1)
	@bench/peers/install wireguard-go $(filter-out weir wireguard-go,$(GATEWAY))
	@cargo build --quiet --release -p weir-bench --bin lab
	@$(SUDO) env GATEWAY=$(GATEWAY) XDP=$(XDP) XDP_MODE=$(XDP_MODE) $(TARGET)/release/lab

build: build-deps web ## the binaries, in target/release
	@cargo build --release -p weir-gateway -p weir-control -p weir-cli

web: build-deps ## the admin page, in web/dist, from where weir-control embeds it
	@if command -v npm > /dev/null; then $(MAKE) --no-print-directory web/dist/index.html; \
	else echo "No npm on PATH: weir-control is built without its page."; fi

web/node_modules/.package-lock.json: web/package-lock.json
	@cd web && npm ci --no-audit --no-fund --loglevel=error

web/dist/index.html: web/node_modules/.package-lock.json $(shell find web/src web/public web/*.* -type f 2> /dev/null)
	@cd web && npm run --silent build

check: build-deps ## formatting, lints and the tests that need no privileges
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test $(addprefix -p weir-,$(PURE_CRATES))

test: test-deps build peers kernels ## every test, with namespaces, peers and virtual machines
	cargo build --release -p weir-bench --bin instructions
	cargo test --workspace --no-fail-fast $(AS_ROOT)
	$(MAKE) --no-print-directory test-web
	$(MAKE) --no-print-directory test-monitoring
	$(MAKE) --no-print-directory sanitize
	$(MAKE) --no-print-directory test-vm

# Against a stand-in first, which needs no privileges; then against the real binaries and real clients.
test-web: test-deps build peers ## the page in Chromium: every page, by keyboard, with ten thousand peers, with stock clients
	cd web && npm run --silent unit && npm run --silent drift && npm run --silent size && npm run --silent pages
	bench/api/schemathesis install
	bench/monitoring/promtool > /dev/null
	cargo test -p weir-bench --test root_web $(AS_ROOT) -- --ignored --nocapture

test-monitoring: test-deps ## the alert rules and the dashboard
	bench/monitoring/check

soak: test-deps build ## mixed load with faults over AF_XDP, after which every frame is accounted for (SOAK_S=3600)
	WEIR_SOAK_S=$(or $(SOAK_S),3600) WEIR=$(abspath $(TARGET)/release/weir) \
		WEIR_DATAPLANE=$(abspath $(TARGET)/release/weir-dataplane) cargo test -p weir-bench --test root_xdp_soak \
		$(AS_ROOT) -- --nocapture

test-vm: test-deps build kernels ## the tests that need other kernels, in QEMU, or other CPUs, in Bochs
	bench/vm/selftest
	bench/vm/af-xdp
	bench/vm/zero-copy
	bench/vm/avx512

# Built in a folder of its own, because libbpf for this machine is built with other flags there.
check-aarch64: build-deps ## the tests that need no privileges on an emulated aarch64; the binaries linked for it
	$(call install_missing,$(ARM64_PACKAGES))
	@rustc --print target-libdir --target $(ARM64) | xargs test -d || rustup target add $(ARM64)
	@libraries=$$(bench/arm64/libraries) && \
	export CARGO_TARGET_DIR=$(TARGET)/arm64 \
		CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
		CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
		CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-L native=$$libraries/lib" \
		LIBBPF_SYS_EXTRA_CFLAGS="-I$$libraries/include" && \
	cargo test --target $(ARM64) $(addprefix -p weir-,$(filter-out testkit,$(PURE_CRATES))) && \
	cargo build --target $(ARM64) -p weir-gateway -p weir-control -p weir-cli

bench: test-deps build peers ## Weir measured beside the peers (BENCH="tcp udp", ROUNDS=3, CORES=0,1: bench/README.md)
	@cargo build --quiet --release -p weir-bench --bin bench
	@$(SUDO) env BENCH="$(BENCH)" ROUNDS="$(ROUNDS)" WINDOW_S="$(WINDOW_S)" CORES="$(CORES)" \
		IMPLEMENTATIONS="$(IMPLEMENTATIONS)" BORINGTUN_THREADS="$(BORINGTUN_THREADS)" $(TARGET)/release/bench

# On one core, so that its clock and caches are one's own.
bench-crypto: build-deps ## the AEAD back ends beside other libraries (BATCHES="1 32", SIZES="64 imix", RUNS=31, CORE=0)
	$(call install_missing,$(BENCH_CRYPTO_PACKAGES))
	@cargo build --quiet --release -p weir-bench-crypto --bin weir-bench-crypto --features $(BENCH_CRYPTO_FEATURES)
	@BATCHES="$(BATCHES)" SIZES="$(SIZES)" RUNS="$(RUNS)" CONTENDERS="$(CONTENDERS)" \
		JSON=$(TARGET)/bench/crypto.json taskset --cpu-list $(or $(CORE),0) $(TARGET)/release/weir-bench-crypto

bench-handshakes: build-deps ## complete responder handshakes a second beside boringtun and gotatun as libraries (RUNS=101, CORE=0)
	@cargo build --quiet --release -p weir-bench-crypto --bin weir-handshake-bench --features peers
	@RUNS="$(RUNS)" JSON=$(TARGET)/bench/handshakes.json taskset --cpu-list $(or $(CORE),0) \
		$(TARGET)/release/weir-handshake-bench

crypto-cases: build-deps ## random packets through every AEAD back end (CASES=100000000, SEED=0, on as many cores as it may use)
	WEIR_CRYPTO_CASES=$(or $(CASES),100000000) WEIR_CRYPTO_SEED=$(SEED) \
		cargo test -p weir-crypto --test back_ends random_cases -- --nocapture

# AddressSanitizer needs unstable options, which a stable compiler takes under RUSTC_BOOTSTRAP, a runtime, which rustup's
# toolchains bring, and a target by name, so that build scripts are without it. ring's C and assembly are not watched.
sanitize: build-deps ## the crypto back ends' tests under AddressSanitizer: every access to memory beyond its ends
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$(TARGET)/sanitize \
		cargo test -p weir-crypto --tests --target $$(rustc --print host-tuple)

timing: build-deps ## whether a secret changes the AEAD's time: Welch's t of two classes (SAMPLES=1000000, CORE=0)
	@cargo build --quiet --release -p weir-bench-crypto --bin weir-timing
	@SAMPLES="$(SAMPLES)" taskset --cpu-list $(or $(CORE),0) $(TARGET)/release/weir-timing

# Before any test does so as root: what is downloaded belongs to the caller.
kernels: test-deps
	@bench/vm/kernel 6.1 > /dev/null
	@bench/vm/kernel 6.12 > /dev/null
	@bench/vm/kernel 7 > /dev/null
	@bench/vm/qemu > /dev/null

fuzz: build-deps ## fuzz every parser and state machine, RUNS=100000 times each
	@bench/fuzz/run $(or $(RUNS),100000)

peers: test-deps ## the WireGuard implementations that tests and benchmarks use, in target/peers/bin
	@bench/peers/install

dependency-check: ## that crates depend on each other only as written down
	@cargo run --quiet -p weir-bench --bin edges

fmt: ## format the code
	cargo fmt --all

clean: ## remove all that was built or downloaded
	rm -rf target
	cargo clean --quiet

deps: ## install the Debian packages that are missing
	$(call install_missing,$(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES))

build-deps:
	$(call install_missing,$(BUILD_PACKAGES))
	@command -v cargo > /dev/null || { echo "No cargo on PATH: install a Rust toolchain (rustup) first."; exit 1; }

run-deps: build-deps
	$(call install_missing,$(RUN_PACKAGES))

test-deps: run-deps
	$(call install_missing,$(TEST_PACKAGES))
