# Every command the README names. `make` alone lists them.
SHELL := /bin/bash
.DELETE_ON_ERROR:
PYTHON ?= python3
PORT ?= 8080
BUNDLE ?= bundle
TRAIN := build/train
SHIP := build/ship
MODEL := 1.5.0
WORDS := build/words.txt
# So many rows are learnt better, and in a third of the time, by half of the base's layers with
# word embeddings of their own and without dropout; the student is asked about common words too
# (training/LOG.md).
RECIPE := --layers 3 --pieces 6000 --word-rate 1e-3 --dropout 0 --epochs 5 --size 740000 \
    --transfer $(WORDS)
PY := .venv/bin/python
NODE_MODULES := $(if $(shell command -v node),node_modules/.package-lock.json)
# What is staged, and what it needs to be started here.
STAGE := stage$(if $(filter node,$(RUNTIME)),-node)
SERVE := $(if $(filter node,$(RUNTIME)),,.venv-serve/done)
export PYTHONPATH := .
export TOKENIZERS_PARALLELISM := false

help:
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

serve: .venv-serve/done ## the function on port 8080 (PORT=…, BUNDLE=…), serving requirements only
	BUNDLE='$(BUNDLE)' .venv-serve/bin/functions-framework \
	    --source function/main.py --target classify --port $(PORT)

serve-node: node_modules/.package-lock.json ## the same function in Node
	BUNDLE='$(BUNDLE)' node_modules/.bin/functions-framework \
	    --source js_runtime/function.js --target classify --port $(PORT)

playground: build/playground/assets.json .venv-serve/done ## the page to try the model on, at port 8080
	PLAYGROUND=1 $(MAKE) serve

build/playground/assets.json: node_modules/.package-lock.json $(wildcard js_runtime/*.js js_runtime/*/*) \
    $(BUNDLE)/manifest.json
	node js_runtime/tools/playground.js build/playground '$(BUNDLE)'

stage-node: node_modules/.package-lock.json ## the Node function as a folder to deploy: build/stage-node
	node js_runtime/tools/stage.js build/stage-node '$(BUNDLE)'

test: .venv/done $(if $(NODE_MODULES),build/playground/assets.json) ## lint and all tests, those of JavaScript where node is
	.venv/bin/ruff check .
	$(MAKE) --no-print-directory -j 3 test-python test-waiting $(if $(NODE_MODULES),test-js)

# Those that mostly wait are run beside those that compute.
WAITING := $(addprefix tests/test_,$(addsuffix .py,faults lifecycle coldstart coldstart_cgroup \
    coldstart_cloudrun deploy))

# Three of them share the cores: threads that wait in a loop would keep the others from them.
test-python test-waiting: export OMP_WAIT_POLICY := passive

test-python:
	.venv/bin/pytest $(addprefix --ignore=,$(WAITING))

test-waiting:
	.venv/bin/pytest $(WAITING)

test-js:
	$(chromium) && npm run --silent types && npm run --silent test

train: $(TRAIN)/bundle/manifest.json ## the measured model: training split alone, figures on the test split

$(WORDS): | .venv/done
	$(PY) -m training.wordlist --out $@

ship: $(TRAIN)/bundle/manifest.json ## the shipped model: the measured one, having gone on to all rows, into bundle/
	$(PY) -m training.train --run $(SHIP) --measured $(TRAIN) --transfer $(WORDS) \
	    --version $(MODEL) --out bundle

bench: .venv/done ## latency and portability of the bundle, then the README's tables
	$(PY) -m benchmarks.latency
	$(PY) -m benchmarks.portability
	$(PY) -m benchmarks.tables

bench-stages: .venv/done .venv-serve/done build/stages/done stage-node ## cold start, memory and inference from three BERT-base to the bundle
	$(PY) -m benchmarks.stages $(OPTIONS)
	$(PY) -m benchmarks.tables

# 1.8 GB: three BERT-base models and one, of random weights.
build/stages/done: benchmarks/stages/models.py bundle/contract.json bundle/vocab.txt | .venv/done
	$(PY) -m benchmarks.stages.models build/stages
	touch $@

coldstart: .venv-serve/done ## cold starts of the function on this machine (OPTIONS='--cpus 0.5 …')
	.venv-serve/bin/python -m timing.coldstart --text 'smoked paprika' --expect source=plant \
	    $(OPTIONS) '.venv-serve/bin/functions-framework --source function/main.py --target classify'

faults: .venv/done node_modules/.package-lock.json ## what good callers notice while things go wrong, into docs/reliability.md
	$(PY) -m benchmarks.faults $(OPTIONS)
	$(PY) -m benchmarks.tables

report: .venv/done ## what the measured model's figures are worth, as a page in build/report/
	$(PY) -m benchmarks.report --run $(TRAIN) --out build/report

stage: ## the Python function as a folder to deploy: build/stage
	$(PYTHON) -m export.stage build/stage '$(BUNDLE)'

parity: $(STAGE) $(SERVE) ## the folder to deploy (RUNTIME=node: Node's), started here, gives the golden answers
	$(or $(SERVE:done=bin/python),$(PYTHON)) -m deploy.parity build/$(STAGE)

deploy: ## test, stage, onto Cloud Run (PROJECT=…, REGION=…; DRY_RUN=1 prints every command)
	@$(PYTHON) -m deploy check
	$(if $(DRY_RUN),@echo '$$' )$(MAKE) test sbom audit
	$(if $(DRY_RUN),@echo '$$' )$(MAKE) parity
	@$(PYTHON) -m deploy release smoke shift measure

rollback: ## all traffic back to the revision before (PROJECT=…, REGION=…)
	@$(PYTHON) -m deploy rollback

deploy-setup: ## what a project needs once: APIs and accounts (PROJECT=…, REGION=…)
	@$(PYTHON) -m deploy setup

lock: .venv/done ## function/requirements.txt from requirements.in: all that serving needs, hashed
	CUSTOM_COMPILE_COMMAND='make lock' .venv/bin/pip-compile -q --generate-hashes --strip-extras \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	    -o function/requirements.txt function/requirements.in

sbom: .venv/done ## build/sbom.json: what is deployed, as a CycloneDX bill of materials
	@mkdir -p build
	.venv/bin/cyclonedx-py requirements function/requirements.txt --output-reproducible -o build/sbom.json

audit: .venv/done ## advisories against what is deployed, where the registries keep any
	$(PY) -m deploy.audit

venv: .venv/done ## everything that training, export and tests need

# The page's tests skip themselves without it.
chromium = { command -v chromium >/dev/null \
    || { [ $$(id -u) = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
         && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
    || echo 'found no chromium and no right to install it: the page is not tested'; }

check_python = @$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
    "error: found Python " + sys.version.split()[0] + ", expected 3.11 or newer (make PYTHON=...)")'

# Last written of the bundle, so that a killed training goes on and a finished one is not repeated.
$(TRAIN)/bundle/manifest.json: training/data/labelled.csv training/contract.json | .venv/done $(WORDS)
	$(PY) -m training.train $(RECIPE) --run $(TRAIN) --out $(TRAIN)/bundle

.venv/done: requirements.txt function/requirements.in
	$(check_python)
	$(PYTHON) -m venv --clear .venv
	.venv/bin/pip install -q -r requirements.txt
	touch $@

# Its install script would fetch CUDA, which nothing here uses.
node_modules/.package-lock.json: package.json package-lock.json
	ONNXRUNTIME_NODE_INSTALL_CUDA=skip npm ci --no-fund --no-audit
	touch $@

.venv-serve/done: function/requirements.txt
	$(check_python)
	$(PYTHON) -m venv --clear .venv-serve
	.venv-serve/bin/pip install -q --require-hashes -r function/requirements.txt
	touch $@

.PHONY: help serve serve-node stage stage-node playground test test-python test-waiting test-js train ship bench bench-stages coldstart faults report parity \
    deploy rollback deploy-setup lock sbom audit venv
