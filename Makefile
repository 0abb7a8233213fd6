# Every command the README names. `make` alone lists them.
SHELL := /bin/bash
.DELETE_ON_ERROR:
PYTHON ?= python3
PORT ?= 8080
BUNDLE ?= bundle
TRAIN := build/train
SHIP := build/ship
PY := .venv/bin/python
export PYTHONPATH := .
export TOKENIZERS_PARALLELISM := false

help:
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

serve: .venv-serve/done ## the function on port 8080 (PORT=…, BUNDLE=…), serving requirements only
	BUNDLE='$(BUNDLE)' .venv-serve/bin/functions-framework \
	    --source function/main.py --target classify --port $(PORT)

test: .venv/done ## lint and all tests
	.venv/bin/ruff check .
	.venv/bin/pytest

train: .venv/done ## the measured model: trained on the training split, figures on the test split
	$(call pipeline,$(TRAIN),,$(PY) -m export.calibrate --student $(TRAIN)/student \
	    --int8 $(TRAIN)/onnx/model_quantized.onnx --out $(TRAIN)/contract.json)
	$(PY) -m training.evaluate --run $(TRAIN)
	$(PY) -m export.bundle --run $(TRAIN) --out $(TRAIN)/bundle

ship: train ## the shipped model: the same recipe on all rows, into bundle/
	$(call pipeline,$(SHIP),--all-rows,cp $(TRAIN)/contract.json $(SHIP)/contract.json)
	$(PY) -m training.evaluate --run $(SHIP) --measured $(TRAIN)/metrics.json
	$(PY) -m export.bundle --run $(SHIP) --metrics $(TRAIN)/metrics.json --out bundle

bench: .venv/done ## latency and portability of the bundle, then the README's tables
	$(PY) -m benchmarks.latency
	$(PY) -m benchmarks.portability
	$(PY) -m benchmarks.tables

venv: .venv/done ## everything that training, export and tests need

# From data to golden vectors, in order; a stage that is finished already says so and is skipped.
# $(1): folder of the run, $(2): options of both trainings, $(3): what makes $(1)/contract.json
define pipeline
	$(PY) -m training.teacher --out $(1)/teacher $(2)
	$(PY) -m training.distill --teacher $(1)/teacher --out $(1)/student $(2)
	$(PY) -m export.to_onnx --student $(1)/student --out $(1)/onnx/model.onnx
	$(PY) -m export.quantize --onnx $(1)/onnx/model.onnx --out $(1)/onnx/model_quantized.onnx
	$(3)
	$(PY) -m export.check_parity --student $(1)/student --onnx $(1)/onnx/model.onnx \
	    --int8 $(1)/onnx/model_quantized.onnx --contract $(1)/contract.json --out $(1)/parity.json
	$(PY) -m export.make_golden --student $(1)/student --int8 $(1)/onnx/model_quantized.onnx \
	    --contract $(1)/contract.json --out $(1)/golden.json
endef

check_python = @$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
    "error: found Python " + sys.version.split()[0] + ", expected 3.11 or newer (make PYTHON=...)")'

.venv/done: requirements.txt function/requirements.txt
	$(check_python)
	$(PYTHON) -m venv --clear .venv
	.venv/bin/pip install -q -r requirements.txt
	touch $@

.venv-serve/done: function/requirements.txt
	$(check_python)
	$(PYTHON) -m venv --clear .venv-serve
	.venv-serve/bin/pip install -q -r function/requirements.txt
	touch $@

.PHONY: help serve test train ship bench venv
