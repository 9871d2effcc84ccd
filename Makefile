PYTHON ?= python3
VENV = .venv

.PHONY: test demo
test: $(VENV)/installed
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	$(VENV)/bin/python -m pytest --numprocesses=2 --dist=worksteal

demo: $(VENV)/installed
	$(VENV)/bin/python examples/demo.py

$(VENV)/installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable ".[test]"
	touch $@
