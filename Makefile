# Everything a person or CI runs. `make help` lists it.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SWEEP ?= examples/sweeps/digits.yaml
ENGINE ?= docker

# Fewer threads than cores a process: Ray runs several of them.
export OMP_NUM_THREADS ?= 1
# Workers are processes that start often: without bytecode each would compile all sources again.
unexport PYTHONDONTWRITEBYTECODE

# What torch computes with, ATen, oneDNN and MKL, picks its kernels by the processor. Here it is told another one:
# a machine without AVX-512, and one of 2008. `ON` may name one of them.
ON ?= avx2 sse4
avx2 := ATEN_CPU_CAPABILITY=avx2 DNNL_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2
sse4 := ATEN_CPU_CAPABILITY=default DNNL_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE
# Tests whose numbers are torch's: layers, gradients, whole trainings, attacks. The contract of backbones that are
# brought along, and the guide to a new one, have no numbers of their own.
NUMERIC := $(addprefix tests/trainers/,training networks evaluators test_any_processor.py)
PLAIN := $(addprefix --ignore=tests/trainers/networks/,brought test_guide.py)

.DEFAULT_GOAL := help
.PHONY: help install demo quick test test-docstrings test-ray test-rest test-others check coverage docs bench faults fuzz ui image release-check clean processors cluster

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# Installed anew when the versions change. Bytecode is compiled now, once, and not by every worker.
$(VENV)/.installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'uv>=0.5'
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --editable .
	touch $@

install: $(VENV)/.installed  ## Make .venv and install the pinned versions into it

demo: install  ## Run a real sweep (a few minutes on two cores) and print its front
	$(BIN)/paretune run $(SWEEP)
	@echo
	$(BIN)/paretune front digits-fc
	@echo
	@echo "Browse every trial in MLflow:   make ui"
	@echo "Plot the front:                 $(BIN)/paretune front digits-fc --plot front.html"

quick: install  ## Run the tests of half a second that need neither Ray, MLflow, PostgreSQL nor shared data
	$(BIN)/python -m pytest -q -n 2 -m "not (ray or mlflow or postgres or shared_data or slow or serial)" --durations=5 --durations-min=0.5

# Tests with Ray wait much of their time, for workers that start or for Ray to see that one is gone. So the others run
# meanwhile; each part prints what it has to say when it is over.
test: install  ## Run everything that CI runs
	@echo "Two runs at once, each shown when it has ended: the checks and the examples of docstrings,"
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target check test-docstrings
	@echo "then tests with Ray, and all others: these once more on other processors' kernels."
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-ray test-others

test-docstrings: install  ## Run the examples of docstrings
	$(BIN)/python -m pytest -q --doctest-modules orchestrator trainers search_spaces --ignore=orchestrator/storage/migrations

test-ray: install  ## Run the tests that start Ray, and those that take long, one after another
	$(BIN)/python -m pytest -q -m "ray or serial" --durations=15

# After those with Ray where both want a processor: they are one after another, and would end last.
test-rest: install  ## Run all other tests, two at a time
	nice -n 5 $(BIN)/python -m pytest -q -n 2 -m "not (ray or serial)" --durations=15

test-others: install  ## Run the tests without Ray, then those of processors
	@$(MAKE) --no-print-directory test-rest
	@$(MAKE) --no-print-directory processors

# What the image's head has beyond the lock file of the tests: the job server's packages.
build/job-server: docker/deployment.lock requirements.lock | install
	mkdir -p build
	grep -vxFf requirements.lock docker/deployment.lock > build/job-server.txt
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --target $@ -r build/job-server.txt

cluster: install build/job-server  ## Run the tests that start several nodes of Ray, some in namespaces of their own (root)
	PYTHONPATH="$(CURDIR)/build/job-server" PARETUNE_TEST_STACK=1 $(BIN)/python -m pytest -q tests/stack $(addprefix tests/orchestrator/execution/test_cluster_,autoscaling.py faults.py sizes.py)

processors: $(addprefix on-,$(ON))  ## Run the tests of what computes on other processors' kernels

on-%: install
	env $($*) nice -n 5 $(BIN)/python -m pytest -q -n 2 -p no:cacheprovider $(NUMERIC) $(PLAIN)

check: install  ## Lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Processes that tests start, Ray's workers among them, each leave a file: combine adds them up.
coverage: install  ## Run the suite (or TESTS="tests/trainers") and show which branches it took
	rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/python -m coverage run -m pytest -q $(TESTS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage html --quiet --fail-under=0
	$(BIN)/python -m coverage report $(if $(TESTS),--fail-under=0)

docs: install  ## Build the documentation as a site, build/site, and fail on a dead link
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Read it: $(BIN)/python -m http.server -b 127.0.0.1 -d build/site 8000"

bench: install  ## Measure against the peers, side by side (ONLY="bench_search --seeds 3" for one, QUICK=1 for a try)
	$(BIN)/python benchmarks/run_all.py $(ONLY) $(if $(QUICK),--quick)

faults: install  ## Break real sweeps N times, and count broken promises
	$(BIN)/python -m tests.faults.machine --runs $(or $(N),21)

fuzz: install  ## Feed every reader of foreign input N spoilt inputs
	PARETUNE_FUZZ=$(or $(N),25000) $(BIN)/python -m pytest -q -p no:randomly tests/fuzz

ui: install  ## Open the MLflow UI on the sweeps of this folder
	$(BIN)/paretune ui

image:  ## Build the container image (ENGINE=podman), and let it check a sweep
	$(ENGINE) build $(if $(filter podman,$(notdir $(ENGINE))),--format docker) -f docker/Dockerfile --build-arg VARIANT=$(if $(TORCH_INDEX_URL),cpu,cuda) \
		--build-arg TORCH_INDEX_URL="$(TORCH_INDEX_URL)" --build-arg REVISION="$$(git rev-parse HEAD)" \
		--build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" -t paretune .
	$(ENGINE) run --rm paretune paretune --version
	$(ENGINE) run --rm -v "$(CURDIR)/examples/sweeps:/sweeps:ro" paretune paretune check digits.yaml

# docs/releasing.md says what comes before and after.
release-check: install  ## Build wheel and sdist into dist/, and check them and the version
	rm -rf dist && mkdir -p build
	$(BIN)/python -m build --no-isolation
	PARETUNE_DIST=dist $(BIN)/python -m pytest -q tests/test_releases.py tests/test_project_files.py tests/test_wheel.py
	awk '/^## /{n++} n==2' CHANGELOG.md > build/release-notes.md

clean:  ## Remove the environment, what was built and caches, but no sweep
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
