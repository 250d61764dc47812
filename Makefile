# Needs only Python 3.11 or newer and make. `make help` lists the targets.
ifneq ($(words $(CURDIR)),1)
$(error The path of this folder contains a space, which make cannot handle: move the checkout, for example to ~/octospoon ("$(CURDIR)"))
endif
PYTHON ?= python3
ENVS := .octospoon/envs
STATE := .octospoon/state
REQUIREMENTS := infra/requirements
UV := .venv/bin/uv
PLUGIN := infra/localstack/process-executor
DOCKER ?= docker
IMAGE := octospoon-training
# the plug-in, or the program docker-compose that came before it
COMPOSE = $(shell $(DOCKER) compose version >/dev/null 2>&1 && echo "$(DOCKER) compose" || echo docker-compose) \
	-f docker-compose.localstack.yml
REQUESTED := $(STATE)/requests.jsonl
REQUESTING := $(addprefix tests/,e2e/test_loop.py e2e/test_predict.py e2e/test_reconcile.py e2e/test_models.py \
	e2e/test_mixed_backbones.py e2e/test_drop.py e2e/test_existing_bucket.py integration/test_worker.py \
	integration/test_functions.py e2e/faults/test_policies.py)
FUNCTIONS := score rank webhook collect reconcile rescore watch predict

STARTED := $(shell date +%s)

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
export UV_PYTHON_DOWNLOADS := never
unexport PYTHONPATH PYTHONDONTWRITEBYTECODE VIRTUAL_ENV

ENVIRONMENTS := .venv/.installed $(addprefix $(ENVS)/,label-studio/.installed mlflow/.installed localstack/.plugged \
	lambda/.installed)
TEMPLATES := $(addprefix $(STATE)/,$(addsuffix -template/made-with,label-studio mlflow))

.PHONY: help demo up down docs invoke samlocal test unit soak faults two-stacks multilabel detection upgrade guided requests second-dynamodb services persistence check check-regions bench bench-ap-intervals bench-backfill bench-cold bench-crossfit bench-detection-value bench-drift-boxes bench-evaluation bench-heads bench-label-value bench-macro-f1 bench-several-classes bench-load \
	bench-rescore bench-score bench-select bench-ui screenshots peers image-sets oracle finetune import-detectors trainer-command test-browser dist wheel build requirements container contained \
	dockercomposeup dockercomposedown functions-in-image compose-test clean environments prepared .ready seed
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 26

demo: $(if $(filter detection,$(TASK)),$(ENVS)/finetune/.installed) prepared ## set up, then run the whole loop on real images and stop: TASK=multilabel for several classes per image, TASK=detection for boxes (installs PyTorch)
	@OCTOSPOON_STARTED=$(STARTED) .venv/bin/octospoon demo $(if $(TASK),--task $(TASK))

up: prepared ## set up, then leave the stack running: CLASSES=cat,dog SET="BatchSize=20 AuditShare=0.3" BACKBONE=name INSTRUCTION=file HOST=0.0.0.0
	@.venv/bin/octospoon up $(if $(CLASSES),--classes "$(CLASSES)")$(if $(BACKBONE), --backbone "$(BACKBONE)")$(if $(INSTRUCTION), --instruction "$(INSTRUCTION)")$(if $(findstring command,$(origin HOST)), --host "$(HOST)") $(foreach pair,$(SET),--set "$(pair)")

down: ## stop the stack of `make up` and keep its data
	@if [ -x .venv/bin/octospoon ]; then .venv/bin/octospoon down; fi

invoke: build $(ENVS)/sam/.installed ## invoke a built function on the running stack: FN=score EVENT=events/score.json
	@.venv/bin/python -m octospoon.cli.local.invoke_function "$(FN)" "$(or $(EVENT),events/$(FN).json)" $(WARM:%=--warm %)

samlocal: $(ENVS)/sam/.installed .venv/.installed ## write .octospoon/sam, the input of `sam local`, for the running stack
	@$(MAKE) -f infra/build/Makefile aws
	@.venv/bin/python -m octospoon.cli.local.sam_local

test: prepared $(ENVS)/sam/.installed ## run all tests in three workers; ARGS=pytest options
	@.venv/bin/pytest --numprocesses 3 $(ARGS)

unit: .venv/.installed ## run the unit tests, which start no server, in two workers
	@.venv/bin/pytest --numprocesses 2 tests/unit $(ARGS)

soak: prepared ## score images while the champion changes 50 times, on the local stack
	@.venv/bin/pytest tests/e2e/test_swaps.py --soak

faults: prepared ## inject faults between all steps on real servers, then run 100,000 random steps (an hour)
	@OCTOSPOON_FAULTS=every OCTOSPOON_FAULT_STEPS=100000 .venv/bin/pytest -s tests/faults tests/e2e/faults

two-stacks: prepared ## deploy two stacks on one LocalStack and score 1,000 images in each
	@OCTOSPOON_TWO_STACKS_IMAGES=1000 .venv/bin/pytest -s tests/e2e/test_two_stacks.py

multilabel: prepared ## run the loop with several classes per image on a stack of its own
	@OCTOSPOON_MULTILABEL=1 .venv/bin/pytest -s -n0 tests/e2e/test_multilabel.py

detection: $(ENVS)/finetune/.installed prepared ## run the loop with boxes on a stack of its own (installs PyTorch)
	@OCTOSPOON_DETECTION=1 .venv/bin/pytest -s -n0 tests/e2e/test_detection.py

upgrade: prepared ## deploy an earlier release, let it work, deploy today's over it, and go on
	@OCTOSPOON_UPGRADE=1 .venv/bin/pytest -s tests/e2e/test_upgrade.py

guided: prepared $(ENVS)/sam/.installed ## follow the guide to AWS by both ways, with LocalStack in the place of AWS
	@OCTOSPOON_GUIDED=1 .venv/bin/pytest -s tests/e2e/test_guided.py

services: prepared $(ENVS)/services/.installed ## run the containers of infra/services as processes; needs PostgreSQL
	@OCTOSPOON_SERVICES=1 .venv/bin/pytest -s -rs tests/integration/deploy/test_services.py

requests: prepared ## record what most functions, the worker and Label Studio ask of AWS; compare with the policies
	@mkdir -p $(STATE) && rm -f $(REQUESTED)
	@OCTOSPOON_RECORD_REQUESTS=$(REQUESTED) .venv/bin/pytest --localstack=host $(REQUESTING)
	@.venv/bin/python -m tools.requests $(REQUESTED)

second-dynamodb: .venv/.installed ## run the contract tests of the tables, and the policies of the key, on MiniStack
	@if $(MAKE) $(ENVS)/second-dynamodb/.installed; then \
		OCTOSPOON_SECOND_DYNAMODB=1 .venv/bin/pytest -k "second or key_policies" tests/contract \
			tests/integration/deploy/test_key_policies.py $(ARGS); \
		else echo "SKIPPED make second-dynamodb: MiniStack could not be installed" >&2; fi

persistence: prepared ## kill everything while people label and models train, resume, compare; KILLS=20 (an hour)
	@OCTOSPOON_KILLS=$(or $(KILLS),20) .venv/bin/pytest -s tests/e2e/test_persistence.py

check: .venv/.installed $(ENVS)/sam/.installed $(ENVS)/checkov/.installed ## check formatting, lint, types, layers and template
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 $(ENVS)/sam/bin/sam validate --lint
	for name in local dev prod; do AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 \
		$(ENVS)/sam/bin/sam validate --config-env $$name || exit 1; done
	$(ENVS)/sam/bin/cfn-lint template.yaml infra/*/*.yaml
	$(ENVS)/checkov/bin/checkov --config-file .checkov.yaml

check-regions: $(ENVS)/sam/.installed ## check all templates with cfn-lint in every region that offers the services; REGIONS="some of them"
	@$(ENVS)/sam/bin/python -m tools.regions $(REGIONS)

docs: .venv/.installed $(ENVS)/docs/.installed ## build the documentation site into .octospoon/site, strictly
	@.venv/bin/python -m tools.reference .octospoon/docs
	@NO_MKDOCS_2_WARNING=1 $(ENVS)/docs/bin/mkdocs build --strict  # --quiet would hide the warnings that strict counts
	@echo "the site is in .octospoon/site: python3 -m http.server --directory .octospoon/site shows it"

bench: .venv/.installed ## simulate accuracy by number of labels on the digits, with twenty seeds
	@.venv/bin/octospoon simulate --digits

bench-score: .venv/.installed ## measure scoring against a bare loop and other libraries, and its price; JSON=file
	@.venv/bin/python -m bench.score $(if $(JSON),--json $(JSON))

bench-backbone: .venv/.installed ## change the backbone of the running stack's pool, killed twice; DIR=folder of classes, JSON=file
	@.venv/bin/python -m bench.change_backbone $(DIR) $(if $(JSON),--json $(JSON))

bench-cold: build ## measure a cold start of scoring against a bare script; MODEL=default, JSON=file writes ratios
	@.venv/bin/python -m bench.cold $(MODEL:%=--model %) $(if $(JSON),--json $(JSON))

bench-load: prepared ## send 10,000 images and a stream through the local stack, and simulate both; JSON=file PLOT=file
	@.venv/bin/python -m bench.load $(if $(JSON),--json $(JSON)) $(if $(PLOT),--plot $(PLOT))

bench-rescore: .venv/.installed ## measure re-scoring 100,000 rows with a new head against new inference; JSON=file
	@.venv/bin/python -m bench.rescore $(if $(JSON),--json $(JSON))

bench-backfill: .venv/.installed $(ENVS)/localstack/.plugged ## queue 100,000 objects of a bucket, killed five times; ARGS="--objects 20000"
	@.venv/bin/python -m bench.backfill $(ARGS)

bench-select: .venv/.installed ## measure batch selection: time, memory and reads, against other libraries; JSON=file
	@$(MAKE) $(ENVS)/peers/.installed || echo "SKIPPED the other libraries: they could not be installed" >&2
	@python=$(ENVS)/peers/bin/python; [ -e $(ENVS)/peers/.installed ] || python=.venv/bin/python; \
		$$python -m bench.select $(if $(JSON),--json $(JSON))

bench-ui: $(ENVS)/browser/.installed ## measure the page of `octospoon ui` with 100,000 images; ARGS="--boxes --map" JSON=file
	@$(ENVS)/browser/bin/python -m bench.ui $(ARGS) $(if $(JSON),--json $(JSON))

screenshots: prepared $(ENVS)/browser/.installed ## take the screenshots of the page for the docs, after the loop on the digits; NAME=photos IMAGES="folder of classes"
	@$(ENVS)/browser/bin/python -m bench.screenshots $(or $(NAME),digits) $(if $(IMAGES),--images "$(IMAGES)") $(ARGS)

peers: $(ENVS)/peers/.installed ## install the libraries that `make test` then compares selection with

bench-crossfit: .venv/.installed ## check accuracy estimates and the gate of models trained on every label, after `make image-sets`; an hour; JSON=file
	@.venv/bin/python -m bench.crossfit $(if $(JSON),--json $(JSON))

bench-ap-intervals: .venv/.installed ## check how often the intervals of average precision contain the truth; JSON=file
	@.venv/bin/python -m bench.ap_intervals $(if $(JSON),--json $(JSON))

bench-detection-value: $(ENVS)/finetune/.installed ## measure what a label is worth for boxes, on digit mosaics and BCCD; ARGS="--seeds 5" JSON=file PLOT=file
	@$(ENVS)/finetune/bin/python -m bench.detection_value $(ARGS) $(if $(JSON),--json $(JSON)) $(if $(PLOT),--plot $(PLOT))

bench-drift-boxes: .venv/.installed ## measure false alarms of drift with boxes, and how soon a change is noticed; JSON=file
	@.venv/bin/python -m bench.drift_boxes $(if $(JSON),--json $(JSON))

bench-evaluation: .venv/.installed ## compare naive and live accuracy estimates with the truth on real images; JSON=file
	@.venv/bin/python -m bench.evaluation $(if $(JSON),--json $(JSON))

image-sets: .venv/.installed ## fetch the packages that hold labelled images for `make bench-label-value` and `make bench-heads`, 490 MB
	@.venv/bin/python -m bench.image_sets || echo "some sets are missing; the benchmark skips them" >&2

bench-heads: .venv/.installed ## compare heads for few labels on every image set at hand; ARGS="--seeds 5 --heads logistic,ridge" JSON=file
	@.venv/bin/python -m bench.heads $(ARGS) $(if $(JSON),--json $(JSON))

bench-label-value: .venv/.installed ## measure what a label is worth on every image set at hand; ARGS="--seeds 5" JSON=file
	@.venv/bin/python -m bench.label_value $(ARGS) $(if $(JSON),--json $(JSON))

bench-macro-f1: .venv/.installed ## measure how often the interval of macro F1 contains the truth; ARGS="--repeats 100" JSON=file
	@.venv/bin/python -m bench.macro_f1 $(ARGS) $(if $(JSON),--json $(JSON))

bench-several-classes: .venv/.installed ## compare margin_diverse with random labels on images with several classes; ARGS="--seeds 5" JSON=file
	@.venv/bin/python -m bench.several_classes $(ARGS) $(if $(JSON),--json $(JSON))

oracle: .venv/.installed $(ENVS)/oracle/.installed ## compare the accuracy estimator with its authors' package (570 MB)
	@.venv/bin/pytest -q tests/unit/domain/test_estimators.py tests/integration/domain/test_oracle.py

finetune: prepared $(ENVS)/finetune/.installed ## install PyTorch for Trainer=finetune (several GB) and test it
	@.venv/bin/pytest -s --finetune tests/integration/training/test_finetune.py tests/integration/training/test_detector.py \
		tests/e2e/test_finetune.py

trainer-command: prepared $(ENVS)/finetune/.installed ## run programs of Trainer=command on a stack of their own
	@.venv/bin/pytest -s -n0 tests/integration/training/test_command_detector.py
	@.venv/bin/pytest -s --trainer-command tests/e2e/test_command.py

import-detectors: .venv/.installed $(ENVS)/detectors/.installed ## import detectors of real exporters (6 GB; with ultralytics, which has the AGPL)
	@.venv/bin/pytest -s -n0 --detectors tests/integration/training/test_exported_detectors.py

test-browser: prepared $(ENVS)/browser/.installed ## test the page of `octospoon ui` in Chromium, which must be installed; ARGS=pytest options
	@$(ENVS)/browser/bin/pytest tests/browser $(ARGS)

dist: .venv/.installed ## build the wheel and the source distribution into dist/, and check them
	@rm -rf dist
	@$(UV) build --quiet --no-build-isolation --python .venv/bin/python --out-dir dist
	@.venv/bin/python -m tools.release && ls dist

wheel: .venv/.installed ## build the wheel and test it in separate environments, with and without extras (400 MB)
	@.venv/bin/pytest -s tests/packaging/test_wheel.py -m "not stack" --wheel

build: .venv/.installed $(ENVS)/lambda/.installed ## package the functions for this machine's Python
	@$(MAKE) $(if $(findstring j,$(firstword -$(MAKEFLAGS))),,-j2) -f infra/build/Makefile local

container: ## build the training image and compare its result with that of a local process; BASE_IMAGE=name
	@if why=$$($(DOCKER) info 2>&1 >/dev/null); then $(MAKE) contained; \
		else echo "SKIPPED make container: no Docker engine answers ($$why)" >&2; fi

# pip's settings come from the environment, if they are set
BUILD = $(DOCKER) build --network host $(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) \
	$(addprefix --build-arg ,PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_CERT) -f infra/training/Dockerfile -t $(IMAGE) .

contained: prepared
	@$(BUILD) || { echo "Without an image registry, run infra/training/base-image, then make container" \
		"BASE_IMAGE=octospoon-base. For another package registry, set PIP_INDEX_URL and PIP_CERT." >&2; exit 1; }
	@DOCKER=$(DOCKER) .venv/bin/pytest -s tests/e2e/test_container.py --training-image $(IMAGE)

# the Python that runs the functions in LocalStack's container: they are built for it
IN_IMAGE = $(DOCKER) run --rm --network none --user $$(id -u):$$(id -g) --volume $(CURDIR):$(CURDIR) \
	--workdir $(CURDIR) --entrypoint /opt/functions/bin/python octospoon-localstack

functions-in-image: .venv/.installed
	@image=($$($(IN_IMAGE) -c 'import platform as p; print(*p.python_version_tuple()[:2], p.machine())')) && \
		$(MAKE) -f infra/build/Makefile aws AWS_BUILD_DIR=.octospoon/build-compose compiler_aws='$(IN_IMAGE)' \
		PYTHON_VERSION=$${image[0]}.$${image[1]} ARCHITECTURE=$${image[2]/aarch64/arm64}

dockercomposeup: .venv/.installed ## start the same stack in Docker containers; takes the variables of `make up`
	@.venv/bin/python -m octospoon.cli.local.compose prepare $(if $(CLASSES),--classes "$(CLASSES)") \
		--backbone "$(BACKBONE)" $(foreach pair,$(SET),--set "$(pair)")
	@$(COMPOSE) build || { echo "Without an image registry, run infra/stand-ins/build first." >&2; exit 1; }
	@$(MAKE) functions-in-image
	@.venv/bin/python -m octospoon.cli.local.compose functions
	@$(COMPOSE) up --detach || { $(COMPOSE) logs setup >&2; exit 1; }
	@.venv/bin/python -m octospoon.cli.local.compose addresses

dockercomposedown: ## stop the containers; all data stay in their volumes
	@$(COMPOSE) down && rm -f .octospoon/run/project.json

compose-test: .venv/.installed ## run the loop in the containers of `make dockercomposeup`, stop and start them
	@if why=$$($(DOCKER) info 2>&1 >/dev/null); then \
		DOCKER=$(DOCKER) .venv/bin/pytest -s tests/e2e/test_compose.py --compose $(ARGS); \
		else echo "SKIPPED make compose-test: no Docker engine answers ($$why)" >&2; fi

# user data stay: stacks' data, settings and ports, and the passwords of both kinds of stack
CLEAN = find $(1) -mindepth 1 -maxdepth 1 $(patsubst %,! -name %,$(2)) -exec rm -rf {} +

clean: down ## remove environments, state and build artefacts; stack data stay in .octospoon/data
	@if [ -d .octospoon/run/up/label-studio ]; then echo "the data of an older version are in .octospoon/run/up:" \
		"run \`make up\`, which moves them to .octospoon/kept" >&2; exit 1; fi
	@mkdir -p .octospoon/state .octospoon/kept
	@$(call CLEAN,.octospoon,data kept settings.json ports.json compose engine state)
	@$(call CLEAN,.octospoon/state,credentials.json compose-credentials.json)
	@rmdir .octospoon/kept .octospoon/state .octospoon 2>/dev/null || true
	rm -rf .aws-sam dist .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@if [ -d .octospoon ]; then echo "left in .octospoon: $$(ls .octospoon | tr '\n' ' '): stack data," \
		"settings and passwords; \`octospoon down --forget\` removes them"; fi

# Each environment has a stamp file, so that a second run does nothing. They are built in parallel: some wait for the
# network while others compile, and the slow first start of Label Studio begins as soon as its environment exists.
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j3)

environments: ## create all environments and start each server once
	@$(MAKE) $(JOBS) .ready

prepared: ## set everything up and start nothing
	@$(MAKE) $(JOBS) .ready build

.ready: $(TEMPLATES) $(ENVIRONMENTS)
	@:

# $(call install,name,command): run a command between two progress lines
define install
	@echo "· $(1): installing"
	@began=$$(date +%s) && $(2) && echo "· $(1): installed in $$(($$(date +%s) - began)) s"
endef

.venv/.uv: $(REQUIREMENTS)/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "· .venv: $$($(PYTHON) --version), uv"
	@$(PYTHON) -m venv --clear .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)/uv.txt
	@touch $@

PIP = $(UV) pip install --quiet --require-hashes --python
EDITABLE = $(UV) pip install --quiet --no-deps --no-build-isolation --python
NEW = $(UV) venv --quiet --clear --python .venv/bin/python

.venv/.installed: .venv/.uv $(REQUIREMENTS)/dev.txt pyproject.toml
	$(call install,.venv,$(PIP) .venv -r $(REQUIREMENTS)/dev.txt && $(EDITABLE) .venv --editable .)
	@touch $@

$(ENVS)/label-studio/.installed: $(REQUIREMENTS)/label-studio.txt | .venv/.uv
	$(call install,label-studio,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/label-studio.txt)
	@touch $@

$(ENVS)/localstack/.installed: $(REQUIREMENTS)/localstack.txt | .venv/.uv
	$(call install,localstack,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/localstack.txt)
	@touch $@

$(ENVS)/localstack/.plugged: $(ENVS)/localstack/.installed $(PLUGIN)/pyproject.toml
	@$(EDITABLE) $(@D) --editable $(PLUGIN)
	@touch $@

$(ENVS)/mlflow/.installed: $(REQUIREMENTS)/training.txt | .venv/.uv
	$(call install,mlflow,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/training.txt \
		&& $(EDITABLE) $(@D) --editable .)
	@touch $@

$(ENVS)/lambda/.installed: $(REQUIREMENTS)/lambda-runtime.txt | .venv/.uv
	$(call install,lambda,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/lambda-runtime.txt)
	@touch $@

# only for `make peers` and `make bench-select`
$(ENVS)/peers/.installed: $(REQUIREMENTS)/peers.txt | .venv/.uv
	$(call install,peers,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/peers.txt && $(EDITABLE) $(@D) --editable .)
	@touch $@

# only for `make oracle`
$(ENVS)/oracle/.installed: $(REQUIREMENTS)/oracle.txt | .venv/.uv
	$(call install,oracle,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/oracle.txt)
	@touch $@

# the tests' own environment with a driver for browsers, only for `make test-browser`
$(ENVS)/browser/.installed: $(REQUIREMENTS)/dev.txt $(REQUIREMENTS)/browser.txt pyproject.toml | .venv/.uv
	$(call install,browser,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/dev.txt -r $(REQUIREMENTS)/browser.txt \
		&& $(EDITABLE) $(@D) --editable .)
	@touch $@

# the trainer's environment with PyTorch, only for Trainer=finetune: `make finetune`, `make demo TASK=detection`
$(ENVS)/finetune/.installed: $(REQUIREMENTS)/finetune.txt | .venv/.uv
	@.venv/bin/python -m tools.room $(@D) "$$($(UV) cache dir)"
	$(call install,finetune,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/finetune.txt \
		&& $(EDITABLE) $(@D) --editable .)
	@touch $@

# PyTorch and the exporters of detectors, only for `make import-detectors`
$(ENVS)/detectors/.installed: $(REQUIREMENTS)/detectors.txt | .venv/.uv
	$(call install,detectors,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/detectors.txt \
		&& $(EDITABLE) $(@D) --editable .)
	@touch $@

# MLflow with what its image has for PostgreSQL and sign-in, only for `make services`
$(ENVS)/services/.installed: $(REQUIREMENTS)/services.txt | .venv/.uv
	$(call install,services,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/services.txt)
	@touch $@

# only for `make second-dynamodb`
$(ENVS)/second-dynamodb/.installed: $(REQUIREMENTS)/second-dynamodb.txt | .venv/.uv
	$(call install,second-dynamodb,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/second-dynamodb.txt)
	@touch $@

# only for `make docs`
$(ENVS)/docs/.installed: $(REQUIREMENTS)/docs.txt | .venv/.uv
	$(call install,docs,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/docs.txt)
	@touch $@

$(ENVS)/checkov/.installed: $(REQUIREMENTS)/checkov.txt | .venv/.uv
	$(call install,checkov,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/checkov.txt)
	@touch $@

$(ENVS)/sam/.installed: $(REQUIREMENTS)/sam.txt | .venv/.uv
	$(call install,sam,$(NEW) $(@D) && $(PIP) $(@D) -r $(REQUIREMENTS)/sam.txt)
	@touch $@

$(STATE)/label-studio-template/made-with: infra/label-studio/seed.sql
$(STATE)/%-template/made-with: $(ENVS)/%/.installed .venv/.installed
	@.venv/bin/python -m octospoon.cli.stack template $*
	@touch $@

seed: .venv/.installed $(ENVS)/label-studio/.installed ## write the database for first starts of Label Studio anew
	@.venv/bin/python -m octospoon.cli.stack seed

# The pinned files contain no registry address and no local path.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make requirements' $(UPGRADE)

requirements: .venv/.uv ## pin all dependencies again; UPGRADE=--upgrade selects the newest versions
	@for name in uv build lambda-runtime label-studio oracle second-dynamodb sam checkov docs; do \
		echo "· $$name" && $(COMPILE) $(REQUIREMENTS)/$$name.in -o $(REQUIREMENTS)/$$name.txt || exit 1; done
	@echo "· localstack" && $(COMPILE) $(REQUIREMENTS)/localstack.in $(REQUIREMENTS)/build.in -o $(REQUIREMENTS)/localstack.txt
	@for name in $(FUNCTIONS); do \
		echo "· $$name" && $(COMPILE) --group $$name -o $(REQUIREMENTS)/$$name.txt || exit 1; done
	@echo "· peers" && $(COMPILE) pyproject.toml --extra compiled $(REQUIREMENTS)/build.in $(REQUIREMENTS)/peers.in -o $(REQUIREMENTS)/peers.txt
	@echo "· training" && $(COMPILE) pyproject.toml $(REQUIREMENTS)/build.in --extra train -o $(REQUIREMENTS)/training.txt
	@echo "· finetune" && $(COMPILE) -c $(REQUIREMENTS)/training.txt pyproject.toml $(REQUIREMENTS)/build.in \
		--extra finetune -o $(REQUIREMENTS)/finetune.txt
	@echo "· detectors" && $(COMPILE) -c $(REQUIREMENTS)/finetune.txt pyproject.toml $(REQUIREMENTS)/build.in \
		$(REQUIREMENTS)/detectors.in --extra finetune -o $(REQUIREMENTS)/detectors.txt
	@echo "· services" && $(COMPILE) -c $(REQUIREMENTS)/training.txt pyproject.toml $(REQUIREMENTS)/build.in \
		$(REQUIREMENTS)/services.in --extra train -o $(REQUIREMENTS)/services.txt
	@echo "· dev" && $(COMPILE) pyproject.toml $(REQUIREMENTS)/build.in --extra local --extra watch --extra parquet --extra compiled --group dev \
		$(addprefix --group ,$(FUNCTIONS)) -o $(REQUIREMENTS)/dev.txt
	@echo "· browser" && $(COMPILE) -c $(REQUIREMENTS)/dev.txt $(REQUIREMENTS)/browser.in -o $(REQUIREMENTS)/browser.txt
	@echo "· octospoon" && $(COMPILE) -c $(REQUIREMENTS)/dev.txt pyproject.toml -o $(REQUIREMENTS)/octospoon.txt
	@echo "· octospoon-simulate" && $(COMPILE) -c $(REQUIREMENTS)/dev.txt pyproject.toml --extra simulate \
		-o $(REQUIREMENTS)/octospoon-simulate.txt
