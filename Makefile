# All commands that a person or CI needs. CMake does the work; see CMakePresets.json.
JOBS ?= $(shell nproc)
PORT ?= 8080
FUZZ_SECONDS ?= 30
BENCH_SHAPE ?= llama-1.3b
BUILD := build/release
CLANG_FORMAT ?= clang-format-14
PACKAGES := tools/packages.txt
LINT_PACKAGES := $(PACKAGES) tools/packages_lint.txt
OUR_SOURCES = $(shell git ls-files '*.h' '*.cc')

.DEFAULT_GOAL := build
.PHONY: help packages build test demo bench lint asan tsan fuzz clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

packages: ## install the packages that the build needs, if any are missing
	@tools/install_packages $(PACKAGES)

$(BUILD)/build.ninja:
	cmake --preset release

build: packages $(BUILD)/build.ninja ## build the program, build/release/dray
	cmake --build $(BUILD) -j $(JOBS) --target dray

test: packages $(BUILD)/build.ninja ## build all, then run the tests
	cmake --build $(BUILD) -j $(JOBS)
	ctest --test-dir $(BUILD) -j $(JOBS) --output-on-failure -LE slow

demo: build ## build, serve the small demo model on PORT (8080), show a completion
	@tools/demo $(BUILD)/dray $(PORT)

bench: build ## build, then measure BENCH_SHAPE (llama-1.3b, random weights) beside the machine's limits
	$(BUILD)/dray bench bench/shapes/$(BENCH_SHAPE) --load-format dummy --dtype bf16,int8,int4

lint: ## layers, sizes, forbidden calls, includes, paths in docs, format, self-contained headers, clang-tidy
	@tools/install_packages $(LINT_PACKAGES)
	tools/check_layers
	tools/check_sizes
	tools/check_calls
	tools/check_includes
	tools/check_docs
	@echo clang-format; $(CLANG_FORMAT) --dry-run -Werror $(OUR_SOURCES)
	cmake --preset release
	cmake --build $(BUILD) -j $(JOBS) --target check_headers
	tools/clang_tidy --jobs $(JOBS)

asan: packages ## build and run the tests under AddressSanitizer and UBSan
	cmake --preset asan
	cmake --build build/asan -j $(JOBS)
	ctest --test-dir build/asan -j $(JOBS) --output-on-failure -LE slow

tsan: packages ## build and run the tests under ThreadSanitizer
	cmake --preset tsan
	cmake --build build/tsan -j $(JOBS)
	ctest --test-dir build/tsan -j $(JOBS) --output-on-failure -LE slow

fuzz: ## build the fuzz targets and run each for FUZZ_SECONDS (30)
	@tools/install_packages $(LINT_PACKAGES)
	cmake --preset fuzz
	cmake --build build/fuzz -j $(JOBS) --target fuzzers
	tools/run_fuzzers build/fuzz $(FUZZ_SECONDS)

clean: ## remove everything that was built
	rm -rf build
