# Braid: two commands do everything, `make demo` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
BUILD ?= build/release
JOBS ?= $(shell nproc)
PREFIX ?= $(CURDIR)/dist
GOLDEN ?= tests/golden
PACKAGES := g++ cmake ninja-build pkg-config libtbb-dev zlib1g-dev libzip-dev nlohmann-json3-dev libcli11-dev catch2
CONFIGURE = cmake --preset release $(shell command -v ccache >/dev/null && echo -DCMAKE_CXX_COMPILER_LAUNCHER=ccache) >/dev/null

.PHONY: help demo test test-golden bench sanitize format lint install clean packages
help:
	@echo "make demo         train the reviews example on data of its own"
	@echo "make test         build and run every test and every golden case"
	@echo "make test-golden  run Keras's results from GOLDEN=<folder> (default tests/golden)"
	@echo "make bench        time training steps against JAX, PyTorch and Keras"
	@echo "make sanitize     the whole suite under the address and undefined-behaviour sanitizers"
	@echo "make format       format the sources; make lint checks format and runs clang-tidy"
	@echo "make install      install the package under PREFIX=<folder> (default ./dist)"
	@echo "make clean        remove build/ and dist/"

# Installs the Debian packages that are missing, or prints the one command that does.
packages:
	@cmake/install_packages.sh $(PACKAGES)

demo: packages
	@$(CONFIGURE) && cmake --build $(BUILD) --target 04_reviews -j $(JOBS)
	@$(BUILD)/python_free_examples/04_reviews

test: packages
	@$(CONFIGURE) && cmake --build $(BUILD) -j $(JOBS)
	@tests/run_all.sh $(BUILD) $(GOLDEN)

test-golden: packages
	@$(CONFIGURE) && cmake --build $(BUILD) --target braid_golden -j $(JOBS)
	@$(BUILD)/tests/braid_golden $(GOLDEN)

bench: packages
	@cmake --preset release -DBRAID_BENCHMARKS=ON >/dev/null && cmake --build $(BUILD) --target braid_step_bench -j $(JOBS)
	@python3 bench/run.py --braid $(BUILD)/bench/braid_step_bench

sanitize: packages
	@cmake --preset sanitize >/dev/null && cmake --build build/sanitize -j $(JOBS)
	@tests/run_all.sh build/sanitize $(GOLDEN)

format:
	@git ls-files '*.hpp' '*.cpp' | xargs clang-format -i

lint:
	@git ls-files '*.hpp' '*.cpp' | xargs clang-format --dry-run -Werror
	@$(CONFIGURE) && git ls-files 'engine/*.cpp' 'layers/*.cpp' | xargs clang-tidy -p $(BUILD) --quiet

install: packages
	@$(CONFIGURE) && cmake --build $(BUILD) --target braid -j $(JOBS) && cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	@rm -rf build dist
