# Braid: two commands do everything, `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
BUILD := build/release
# All cores, but no more jobs than there is memory for: about 1.5 GB each.
JOBS ?= $(shell awk -v cores=$$(nproc) '/^MemAvailable/ { jobs = int($$2 / 1500000); print jobs < 1 ? 1 : jobs < cores ? jobs : cores }' /proc/meminfo)
PREFIX ?= $(CURDIR)/dist
GOLDEN ?= tests/golden
DEVICE ?= cpu
PACKAGES := g++ cmake ninja-build ccache pkg-config libtbb-dev zlib1g-dev libzip-dev nlohmann-json3-dev libcli11-dev catch2
# $(call CONFIGURE,preset,options). The shell looks for ccache, once the packages are installed. What the library gets for GPUs is told.
CONFIGURE = set -o pipefail && \
  cmake --preset $(1) $$(command -v ccache >/dev/null && echo -DCMAKE_CXX_COMPILER_LAUNCHER=ccache) $(2) | sed -n 's/^-- \(GPU kernels\)/\1/p'
# What a sanitizer reports ends the run with a failure. Tests ask for more memory than there is, and for null where it is not.
SANITIZERS = ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
# What ccache asks for before it caches sources that use a precompiled header.
export CCACHE_SLOPPINESS := pch_defines,time_macros
SOURCES = find engine kernels layers python_free_examples tests bench -name '*.hpp' -o -name '*.cpp' -o -name '*.cu' | sort

.PHONY: help demo test test-golden test-gpus bench sanitize coverage mutate kernels cuda-all gpu-check gpu-bundle format lint install clean packages
help:
	@echo "make demo         train on clothing reviews made up for it: two texts and two numbers in, three answers out"
	@echo "make test         build and run every test and every golden case"
	@echo "make test-golden  run Keras's results from GOLDEN=<folder> on DEVICE=cpu, emulated or cuda"
	@echo "make test-gpus    run every test of GPU kernels as on GPUs of less shared memory, and without matrix units"
	@echo "make bench        time training steps against JAX, PyTorch and Keras"
	@echo "make sanitize     the whole suite under the address and undefined-behaviour sanitizers; races of GPU kernels"
	@echo "make coverage     fail on a line of a GPU kernel that no test executes"
	@echo "make mutate       break GPU kernels on purpose, and see what the tests notice (MUTATE='--sample 100')"
	@echo "make kernels      list the GPU kernels: which tests execute each, registers, spills, occupancy, bytes moved"
	@echo "make cuda-all     compile the GPU kernels for every architecture"
	@echo "make gpu-check    on a machine with a GPU: tests, sanitizers, goldens, benchmarks and a report (GPU_CHECK='kernels goldens')"
	@echo "make gpu-bundle   pack what gpu-check runs into one archive, for a machine without these packages"
	@echo "make format       format the sources; make lint checks format and runs clang-tidy"
	@echo "make install      install the package under PREFIX=<folder> (default ./dist)"
	@echo "make clean        remove build/ and dist/"

# Installs the Debian packages that are missing, or prints the one command that does.
packages:
	@cmake/install_packages.sh $(PACKAGES)

demo: packages
	@$(call CONFIGURE,release) && cmake --build $(BUILD) --target 04_reviews -j $(JOBS)
	@$(BUILD)/python_free_examples/04_reviews

test: packages
	@$(call CONFIGURE,release) && cmake --build $(BUILD) -j $(JOBS)
	@tests/run_all.sh $(BUILD) $(GOLDEN) install

test-golden: packages
	@$(call CONFIGURE,release) && cmake --build $(BUILD) --target braid_golden -j $(JOBS)
	@$(BUILD)/tests/braid_golden $(GOLDEN) --device $(DEVICE)

# What an emulated device passes for (kernels/simt/emulated_gpu.hpp): a GPU without matrix units, and one of less shared memory.
test-gpus: packages
	@$(call CONFIGURE,release) && cmake --build $(BUILD) --target braid_tests -j $(JOBS)
	@for architecture in 75 86; do \
	  echo "As on a GPU of architecture $$architecture:"; \
	  BRAID_TEST_BACKENDS=emulated BRAID_EMULATED_GPU=$$architecture $(BUILD)/tests/braid_tests || exit 1; \
	done

bench: packages
	@cmake/install_packages.sh python3 python3-venv
	@$(call CONFIGURE,release,-DBRAID_BENCHMARKS=ON) && cmake --build $(BUILD) --target braid_step_bench -j $(JOBS)
	@python3 bench/run.py --install --braid $(BUILD)/bench/braid_step_bench

sanitize: packages
	@$(call CONFIGURE,sanitize) && cmake --build build/sanitize -j $(JOBS)
	@$(SANITIZERS) tests/run_all.sh build/sanitize $(GOLDEN)
	@$(call CONFIGURE,release) && cmake --build $(BUILD) --target braid_race_tests -j $(JOBS)
	@BRAID_TEST_BACKENDS=emulated $(BUILD)/tests/braid_race_tests

coverage: packages
	@$(call CONFIGURE,release) && cmake --build $(BUILD) --target braid_coverage_tests -j $(JOBS)
	@tests/kernel_coverage.py $(BUILD)

mutate: packages
	@$(call CONFIGURE,release) && cmake --build $(BUILD) --target braid_mutation_tests -j $(JOBS)
	@tests/mutate.py $(BUILD) $(MUTATE)

kernels: packages
	@$(call CONFIGURE,release) && cmake --build $(BUILD) --target braid_tests braid_race_tests -j $(JOBS)
	@tests/kernel_table.py $(BUILD) bench/results/gpu_kernels.md

cuda-all: packages
	@$(call CONFIGURE,cuda-all) && cmake --build build/cuda-all --target braid -j $(JOBS)

# What both need; a bundle of `make gpu-bundle` is unpacked and run without make.
GPU_PROGRAMS = $(call CONFIGURE,release,-DBRAID_BENCHMARKS=ON) && cmake --build $(BUILD) -j $(JOBS)

gpu-check: packages
	@$(GPU_PROGRAMS)
	@python3 bench/gpu_check.py $(GPU_CHECK) --build $(BUILD)

gpu-bundle: packages
	@$(GPU_PROGRAMS)
	@python3 bench/gpu_bundle.py --build $(BUILD)

format:
	@cmake/install_packages.sh clang-format
	@$(SOURCES) | xargs clang-format -i

lint: packages
	@cmake/install_packages.sh clang-format clang-tidy
	@$(SOURCES) | xargs clang-format --dry-run -Werror
	@$(call CONFIGURE,release) && $(SOURCES) | grep -E '^(engine|layers)/.*\.cpp$$' | xargs -P $(JOBS) -n 4 clang-tidy -p $(BUILD) --quiet --extra-arg=-Wno-unknown-warning-option

install: packages
	@$(call CONFIGURE,package) && cmake --build build/package --target braid -j $(JOBS) && cmake --install build/package --prefix $(PREFIX)

clean:
	@rm -rf build dist
