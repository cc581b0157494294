# The commands a person types. CMake does the work, in ./build.
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
BENCH ?=

.PHONY: help demo race race-pass depth test check bench bench-check build install clean setup

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

demo: build ## learn real text beside nanoGPT, draw the report, write a sample
	@tools/demo

race: build ## Loom against nanoGPT, tuned, modern and dense, three seeds each: the table of docs/race.md
	@tools/race

race-pass: build ## the race over other texts, in a single pass: TEXT="FILE..." SIZE=1m|6m
	@tools/race-pass $(TEXT)

depth: build ## a looped block against dense models on generated tasks, five seeds: the table of docs/depth.md
	@tools/depth

test: build ## run all tests
	@ctest --test-dir build --output-on-failure -j $(JOBS)

check: ## warnings of two compilers, format, includes, symbols, sanitizers
	@tools/setup check
	@JOBS=$(JOBS) tools/check

bench: build ## tokens/s and share of this machine's peak (BENCH="--preset NAME")
	@build/loom bench $(BENCH)

bench-check: build ## fails when a row lost more than a tenth of its stored share of the peak
	@bench/check

build: setup ## the library and the program, in ./build
	@cmake -S . -B build -G Ninja -DCMAKE_INSTALL_PREFIX="$(PREFIX)" >/dev/null
	@ninja -C build -j $(JOBS)

install: build ## program, library and header below PREFIX (/usr/local); DESTDIR is honoured
	@cmake --install build

clean: ## remove ./build
	rm -rf build

setup: ## install the Debian packages that the build needs, after asking
	@tools/setup build
