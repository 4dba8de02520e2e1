# Needs GNU make (3.81 or newer) and Python 3.11 or newer; everything else goes into .venv.
# Say `TARGET=… make deploy` when the target holds a password: what stands behind `make` is read by
# other users of the machine, what stands before it is not.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh
# Hundreds of Pythons that tests start would each compile everything once more.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
# A checkout that was moved is installed again: its path is part of the installation.
HERE := $(shell pwd | cksum | cut -d ' ' -f 1)
# Taken as they were typed: a $ in a password is no variable of make.
TARGET_AS_TYPED := $(value TARGET)
TO_AS_TYPED := $(value TO)
unexport TARGET TO
export TARGET_AS_TYPED TO_AS_TYPED
RUN := if [ -n "$$TARGET_AS_TYPED" ]; then SQITCH_TARGET="$$TARGET_AS_TYPED"; export SQITCH_TARGET; fi; \
       unset TARGET_AS_TYPED; $(BIN)/integrations-db
# Few tests at a time for each worker, so that the long ones, which come first, are shared out.
COVERAGE := build/coverage
PYTEST := $(BIN)/python -m pytest -n auto --maxschedchunk=4

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'Without TARGET: the embedded PostgreSQL. TARGET is a postgresql:// or db:pg: URI, a'
	@echo 'connection string, or a target of sqitch.conf:'
	@echo "  make deploy TARGET='postgresql://me@db.example.com/app?sslmode=require'"
	@echo 'With a password in it: TARGET=... make deploy, so that no other user can read it.'

.PHONY: setup
setup: .venv/$(HERE)-all ## install everything into .venv

.PHONY: deploy
deploy: .venv/$(HERE)-core ## deploy and verify all pending changes [TARGET=] [TO=change]
	@$(RUN) deploy $${TO_AS_TYPED:+--to "$$TO_AS_TYPED"}

.PHONY: verify
verify: .venv/$(HERE)-core ## verify what is deployed [TARGET=]
	@$(RUN) verify

.PHONY: revert
revert: .venv/$(HERE)-core ## revert: TO=change (which stays) or ALL=1 [TARGET=]
	@case "$(ALL):$${TO_AS_TYPED:+to}" in \
	  1: | :to) ;; \
	  *) echo 'make revert: say how far: TO=change (which stays), or ALL=1' >&2; exit 2 ;; \
	esac
	@$(RUN) revert --yes $${TO_AS_TYPED:+--to "$$TO_AS_TYPED"} $(if $(ALL),--all)

.PHONY: status
status: .venv/$(HERE)-core ## show what is deployed and what is pending [TARGET=]
	@$(RUN) status

.PHONY: demo
demo: .venv/$(HERE)-core ## play a story through the stored functions [TARGET=]
	@$(RUN) demo

.PHONY: test
test: .venv/$(HERE)-test ## run the tests [SERVER=docker|local|embedded|all] [ARGS=]
	@case '$(SERVER)' in \
	  '') servers=default ;; \
	  docker | local | embedded) servers='$(SERVER)' ;; \
	  all) servers='docker local embedded' ;; \
	  *) echo 'make test: SERVER is docker, local, embedded or all' >&2; exit 2 ;; \
	esac; \
	failed=; set --; \
	for server in $$servers; do \
	  TEST_SERVER="$${server#default}" $(PYTEST) "$$@" $(ARGS) || failed="$$failed $$server"; \
	  set -- -m 'not static'; \
	done; \
	[ -z "$$failed" ] || { echo "make test: failed on:$$failed" >&2; exit 1; }

.PHONY: lint
lint: .venv/$(HERE)-all ## check Python, SQL and the tree of scripts
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	find deploy -name '*.sql' -print | sort | xargs $(BIN)/squawk
	$(BIN)/python tests/plpgsql_check.py
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/zizmor --offline --quiet .github/workflows action.yml
	$(BIN)/integrations-db check --strict
	$(BIN)/integrations-db docs --check
	@rm -rf build/package
	$(BIN)/python -m hatchling build -d build/package
	$(BIN)/twine check --strict build/package/*
	$(BIN)/check-wheel-contents build/package/*.whl
	$(PYTEST) -m static -q

.PHONY: docs
docs: .venv/$(HERE)-core ## write what docs/ tells of the database anew [TARGET=]
	@$(RUN) docs

.PHONY: schema
schema: .venv/$(HERE)-core ## write docs/schema.sql anew, after a change of the plan
	@$(BIN)/python tests/python/schema_dump.py

# The reports are written also where a limit is not met; where a test fails they would mislead.
.PHONY: coverage
coverage: .venv/$(HERE)-all ## test, and measure PL/pgSQL and Python [SERVER=local|docker] [ARGS=]
	@rm -rf $(COVERAGE)
	TEST_SERVER='$(or $(SERVER),local)' $(BIN)/python -m coverage run -m pytest -n auto \
	  --maxschedchunk=4 --plpgsql-coverage=$(COVERAGE)/plpgsql $(ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage html --quiet --fail-under=0 -d $(COVERAGE)/python-html
	@$(BIN)/python -m coverage xml --quiet --fail-under=0 -o $(COVERAGE)/python.xml
	@failed=; \
	$(BIN)/python -m coverage report || failed="$$failed Python"; \
	$(BIN)/python -m integrations_db.testing.coverage $(COVERAGE)/plpgsql --fail-under 95 \
	  --html $(COVERAGE)/plpgsql.html --xml $(COVERAGE)/plpgsql.xml || failed="$$failed PL/pgSQL"; \
	[ -z "$$failed" ] || { echo "make coverage: too little of:$$failed" >&2; exit 1; }

# Not a part of CI: it takes an hour.
.PHONY: mutation
mutation: .venv/$(HERE)-mutation ## see whether tests notice small changes of the deployer
	$(BIN)/python tests/mutation/run.py

.PHONY: build
build: .venv/$(HERE)-test ## build the source distribution and the wheel into dist/
	@$(BIN)/python -m hatchling build --clean

.PHONY: bench
bench: .venv/$(HERE)-core ## time deployments and credentials, next to other ways
	@$(BIN)/python tests/benchmarks/deploy.py
	@$(BIN)/python tests/benchmarks/credentials.py

.PHONY: clean
clean: ## remove .venv and caches; databases stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip runs again only when a version may have changed.
.venv/$(HERE)-core: EXTRAS := embedded
.venv/$(HERE)-test: EXTRAS := embedded,test,dev
.venv/$(HERE)-all: EXTRAS := embedded,test,dev,lint,coverage
.venv/$(HERE)-mutation: EXTRAS := embedded,test,dev,mutation
.venv/$(HERE)-core .venv/$(HERE)-test .venv/$(HERE)-all .venv/$(HERE)-mutation: $(BIN)/pip pyproject.toml constraints.txt
	@echo 'Installing into .venv ...'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch .venv/$(HERE)-core $@

# Order of the search: the system's own Python, then newer ones that lie beside it.
$(BIN)/pip:
	@found=; for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo 'Python 3.11 or newer is needed and was not found (python3, python3.11 to python3.14).' >&2; \
	  echo 'Install it, or name it: make PYTHON=/path/to/python3 ...' >&2; exit 1; fi; \
	if ! "$$found" -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "$$found has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; fi; \
	echo "Making .venv with $$("$$found" --version) ..."; \
	"$$found" -m venv --clear .venv
