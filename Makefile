# Two commands on a fresh machine with Python 3.10-3.13 and make:  make demo   make test
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/demo
EXPORTS := $(RUN)/exports
NAME := $(notdir $(patsubst %/,%,$(RUN)))
PAGE := $(RUN)/$(NAME)-128px-dynamic.html
JOBS ?= 2
NOT_INSTALLED := || { echo 'The packages must be installed first. pip did not get them, for the reason above. \
	Without a network, name a package index that this machine reaches in PIP_INDEX_URL, then try again.' >&2; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-all test-wheel lint wheel address docs notebooks bench bench-peers clean

help:  ## what each command does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

install: $(VENV)/.installed  ## create .venv and install the package with its tools into it

$(VENV)/.installed: $(VENV)/.made pyproject.toml requirements.txt
	$(BIN)/python -m pip install --quiet --editable '.[dev]' $(NOT_INSTALLED)
	@touch $@

$(VENV)/.runs: $(VENV)/.made pyproject.toml requirements.txt  # what the demo needs, without the tools
	$(BIN)/python -m pip install --quiet --editable '.[openmoji]' $(NOT_INSTALLED)
	@touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 13) else \
		"Python 3.10 to 3.13 is needed. Received %d.%d. Name another: make PYTHON=python3.12 …" % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

demo: $(VENV)/.runs  ## train line drawings->coloured drawings, export, translate with both exports, evaluate (about 5 minutes)
	$(BIN)/tfpix2pix train demo --run $(RUN) --fresh
	$(BIN)/tfpix2pix export $(RUN) --format saved_model --out $(EXPORTS)
	$(BIN)/tfpix2pix export $(RUN) --format tflite --out $(EXPORTS) --overwrite
	$(BIN)/tfpix2pix translate $(EXPORTS)/$(NAME) --split val --out $(RUN)/translated/saved_model --overwrite
	$(BIN)/tfpix2pix translate $(EXPORTS)/$(NAME)-128px.tflite --split val --out $(RUN)/translated/tflite --overwrite
	$(BIN)/tfpix2pix evaluate $(RUN) --metrics l1,psnr,ssim,sharpness --overwrite
	@$(BIN)/tfpix2pix export $(RUN) --format web --single-file --quantize dynamic --out $(RUN) --overwrite \
		|| echo "The page to draw on was left out, for the reason above. All else of the demo is there."
	@echo
	@[ ! -f $(PAGE) ] || echo "Open $(PAGE) and draw: the model colours it as you draw."
	@echo "Look at:"
	@echo "  $(RUN)/evaluation/val/contact_sheet.png  held-out drawings: input | output | target"
	@echo "  $(RUN)/evaluation/val/report.html        the same with figures, the best and the worst among them"
	@echo "  $(RUN)/samples/             some of them from untrained to trained"
	@echo "  $(RUN)/translated/          all of them as the SavedModel and the TFLite file translate them"
	@echo "  $(EXPORTS)/  the SavedModel ($(NAME)) and the TFLite file ($(NAME)-128px.tflite)"
	@echo "  $(RUN)/model_card.json      what the model is and how well it does"
	@echo "  $(BIN)/tensorboard --logdir $(RUN)/tensorboard"
	@echo "The drawings: OpenMoji – the open-source emoji and icon project. License: CC BY-SA 4.0. https://openmoji.org"

test: install  ## lint, then the tests of a change, two at a time (JOBS=…; about 20 minutes)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow"

test-slow: install  ## the other tests: browsers, other environments, several machines, full size
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow

test-all: test test-slow  ## all tests (about half an hour)

lint: install  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install  ## the documents as a site with a page to draw on, into site/; any warning is an error
	@rm -rf build/try
	@$(BIN)/tfpix2pix export openmoji --format web --single-file --quantize dynamic --out build/try || \
		echo "The page to draw on was left out, for the reason above."
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html, or for its search: $(BIN)/mkdocs serve"

wheel: $(VENV)/.made  ## the package as one file, dist/tfpix2pix-….whl, for pip, Colab or another machine
	@rm -rf build  # setuptools would put into the wheel what an earlier version left there
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@rm -rf build; ls dist/*.whl

test-wheel: install  ## the wheel in empty environments: this Python's, PYTHONS="python3.10 python3.13", OLDEST=python3.11
	WHEEL_PYTHONS="$(PYTHONS)" WHEEL_OLDEST="$(OLDEST)" $(BIN)/python -m pytest -v tests/test_wheel.py

address:  ## write the address of the repository in pyproject.toml into the README, the notebooks and mkdocs.yml
	$(PYTHON) benchmarks/address.py

notebooks: install  ## run the notebooks at their own settings and write docs/notebooks/ (about 20 minutes)
	$(BIN)/python benchmarks/render_notebooks.py

bench: install  ## the tables of docs/performance.md, project and peers in turns (PEERS=folder, ONLY=section; about 40 minutes)
	$(BIN)/python benchmarks/performance $(if $(PEERS),--peers $(PEERS)) $(if $(DATA),--data $(DATA)) $(if $(ONLY),--only $(ONLY))

bench-peers:  ## environments for the peers of `make bench`: PyTorch and OpenVINO, each in one of its own
	$(PYTHON) -m venv .venv-torch && .venv-torch/bin/pip install --quiet torch==2.13.0 numpy
	$(PYTHON) -m venv .venv-openvino && .venv-openvino/bin/pip install --quiet openvino numpy

clean:  ## remove .venv and caches; runs and exports stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
