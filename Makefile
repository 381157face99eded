# `make` alone lists what can be done. All of it stays in the checkout: .venv, .venv-*, build, install, out.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build demo demo-tiny demo-miniature miniature miniature-ablations test test-kilted test-stock test-vllm lint defects coverage bench soak clean readme-pictures

export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
WITH_ROS := source environment/activate &&

PARALLEL := --numprocesses auto --dist worksteal
CORE_TESTS := $(addprefix test/,agent baseline data images policies pose3d records scoring segmenters trackers)

help: ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand --tabs=14

setup: ## make .venv and build the messages (quick when nothing changed)
	@environment/prepare

build: ## build the messages again after a change in msg/, action/, srv/, launch/ or config/
	@environment/prepare python messages

demo: setup ## a simulated camera, the node and ten goals over ROS 2; look at out/demo/index.html
	@$(WITH_ROS) python examples/demo.py

demo-tiny: setup ## the same with tiny random checkpoints of a vision-language model and SAM 2.1
	@environment/prepare models
	@$(WITH_ROS) python examples/demo.py --tiny --out out/demo-tiny

demo-miniature: setup ## a policy that was trained from nothing by this repository, in its small world
	@environment/prepare models
	@$(WITH_ROS) python examples/demo_miniature.py

# One process a seed; two at a time, since a machine for this has two cores. What is done is not done again.
MINIATURE := .venv/bin/rsagent miniature config/training/miniature

miniature: ## train a tiny policy from nothing through all stages, three seeds on two cores; RECIPE=smoke: two minutes
	@environment/prepare python models
ifeq ($(RECIPE),)
	printf '%s\n' 0 1 2 | OMP_NUM_THREADS=1 xargs -I{} -P 2 $(MINIATURE).yaml --set seed={} --out out/miniature/seed-{}
else
	OMP_NUM_THREADS=1 $(MINIATURE)_$(RECIPE).yaml --out out/miniature-$(RECIPE)
endif

miniature-ablations: ## more rows of the miniature's table, for its first seed: a night on one core
	@environment/prepare python models
	OMP_NUM_THREADS=1 $(MINIATURE)_ablations.yaml --out out/miniature/seed-0

test: setup lint ## all checks: lint, the core on NumPy 1.26, then every test
	@environment/prepare numpy1
	env -u PYTHONPATH .venv-numpy1/bin/pytest $(PARALLEL) $(CORE_TESTS)
	$(WITH_ROS) pytest $(PARALLEL) --durations=20 $(TESTS)

test-kilted: ## core and node with ROS 2 Kilted and Python 3.13, in an environment of their own; TESTS="..." for some
	@environment/prepare system kilted
	export RSAGENT_ROS=kilted; $(WITH_ROS) pytest $(PARALLEL) $(or $(TESTS),$(CORE_TESTS) test/ros test/faults)

test-stock: setup ## masks, pixels and scores beside SAM's stock processors and Meta's own predictor
	@environment/prepare models stock
	$(WITH_ROS) RSAGENT_TORCHVISION=$(CURDIR)/build/stock pytest test/segmenters/test_sam2_stock.py

test-vllm: setup ## the model server's client, launcher, grammar and training against a real vLLM, on this CPU
	@environment/prepare models vllm
	if [ -e .venv-vllm/.ready ]; then \
	    $(WITH_ROS) RSAGENT_VLLM=$(CURDIR)/.venv-vllm/bin/vllm pytest --durations=20 test/real_vllm; fi

lint: ## style, types, and which part may import which
	@environment/prepare python models
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

defects: setup ## put each seeded defect into a copy of the sources; the tests that are named for it must fail
	@environment/prepare models
	@$(WITH_ROS) python test/seeded_defects/run.py

coverage: setup ## every test again, with line and branch coverage of each package; figures in out/coverage.json
	@environment/prepare models
	$(WITH_ROS) code=0; pytest $(PARALLEL) --cov --cov-report= $(TESTS) || code=$$?; \
	    python .ci/coverage_by_package.py out/coverage.json; exit $$code

bench: setup ## measure speed and memory; the table is in out/bench.json too
	@environment/prepare models
	@$(WITH_ROS) python benchmarks/run.py

soak: setup ## 10,000 goals with random faults against one node: nothing may leak; figures in out/soak.json
	@$(WITH_ROS) python benchmarks/soak.py

readme-pictures: setup ## draw docs/goal.gif again, from the records of `make demo`
	@$(WITH_ROS) python .ci/readme_pictures.py out/demo/records

clean: ## remove what was built and written; the environments .venv and .venv-* stay
	rm -rf build install install-kilted out .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache *.egg-info
