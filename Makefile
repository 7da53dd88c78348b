# `make demo` shows captionq at work, `make test` is the one gate. Both set up .venv by themselves.

# Keep compiled modules: without them every start of a process costs seconds.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv

.PHONY: site wheel release wheel-test wheels fault-sweep many-workers thorough test-page openapi screenshots image-test batch-kills sweep schedules soak chaos fuzz streams families clients photos guides setup demo worker-for-compose test lint types layers unit format lock clean

demo: $(VENV)/.use
	@rm -f $$(find examples -name '*.txt')
	$(BIN)/captionq caption examples --model demo
	@for text in $$(find examples -name '*.txt' | sort); do printf '%-36s %s\n' "$$text" "$$(cat $$text)"; done

test: lint types layers unit

setup: $(VENV)/.develop

lint: $(VENV)/.develop
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.develop
	$(BIN)/mypy

layers: $(VENV)/.develop
	$(BIN)/lint-imports

# A third of the tests' time is spent waiting for other processes: three test processes keep two cores busy.
TEST_PROCESSES := 3
unit: $(VENV)/.develop
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

# All tests, also those that the gate leaves out: more families of models, more ways to be killed.
thorough: $(VENV)/.develop
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --thorough

# Only the tests of the page, in an installed Chromium, Chrome or Edge.
test-page: $(VENV)/.develop
	$(BIN)/pytest -n 0 --page tests/acceptance/page

# Kill worker, broker and API in the middle of a batch of a thousand lines: some ten minutes.
batch-kills: $(VENV)/.develop
	CAPTIONQ_TEST_BATCH_LINES=1000 $(BIN)/pytest tests/acceptance/test_batch_kills.py -n 0 --thorough

# Kill, suspend and cut off workers in the middle of 2,000 pictures, in network namespaces if the machine lets: some ten minutes.
many-workers: $(VENV)/.develop
	CAPTIONQ_TEST_MANY_WORKERS=2000 $(BIN)/pytest tests/acceptance/test_many_workers.py -n 0

# Every statement and commit of a worker's run fails once; `make test` tries every sixth.
fault-sweep: $(VENV)/.develop
	CAPTIONQ_TEST_FAULT_STEP=1 $(BIN)/pytest -q -n0 tests/worker/dispatch/faults

# Look for faults: schedules by the thousand, and a crash or a disk error at every write. Some hours; SHARD=1/8 to 8/8 divide it.
SHARD ?= 1/1
sweep: $(VENV)/.develop
	CAPTIONQ_TEST_SHARD=$(SHARD) CAPTIONQ_TEST_FAULTS=all CAPTIONQ_TEST_KILLPOINTS=all \
	$(BIN)/pytest -n 0 tests/faults tests/acceptance/test_killpoints.py tests/worker/dispatch/test_file_kills.py

# Simulate schedules of clients, workers, deaths and losses by their seeds: 900 to 1,800 a minute, fewer on Postgres.
schedules: SCHEDULES ?= 20000
schedules: $(VENV)/.develop
	CAPTIONQ_TEST_SCHEDULES=$(SCHEDULES) $(BIN)/pytest -n 0 tests/faults/simulation

# An hour of all kinds of requests: what grows, and how long answers take at its beginning and at its end: docs/soak.json.
soak: SECONDS ?= 3600
soak: $(VENV)/.develop
	CAPTIONQ_TEST_SOAK=$(SECONDS) CAPTIONQ_TEST_REPORT=docs/soak.json $(BIN)/pytest -n 0 --thorough tests/faults/soak
	@cat docs/soak.json

# Kill, stop, starve and lie to the processes of a server and a command at random, while clients go on: on one Mac, and with
# three workers on Postgres.
chaos: SECONDS ?= 600
chaos: $(VENV)/.develop
	@rm -f chaos.json
	CAPTIONQ_TEST_CHAOS=$(SECONDS) CAPTIONQ_TEST_REPORT=chaos.json $(BIN)/pytest -n 0 --thorough tests/faults/chaos
	@cat chaos.json

# Send 2,000 mutated images and 5,000 mutated requests of all dialects to a running server: some minutes.
fuzz: $(VENV)/.develop
	CAPTIONQ_TEST_FUZZ_IMAGES=2000 CAPTIONQ_TEST_FUZZ_REQUESTS=5000 CAPTIONQ_TEST_REPORT=fuzz.json \
	$(BIN)/pytest -n 0 --thorough tests/faults/fuzz
	@cat fuzz.json

# Build the image of the Dockerfile with buildah, and run a chat and a folder through its server: some five minutes.
image-test: $(VENV)/.develop
	$(BIN)/python -m tools.image_test

# Try each limit of each field of the OpenAPI document: some five minutes.
openapi: $(VENV)/.develop
	CAPTIONQ_TEST_OPENAPI=all $(BIN)/pytest tests/acceptance/test_openapi.py -n 0

# Open two hundred streams at once: a minute.
streams: $(VENV)/.develop
	CAPTIONQ_TEST_STREAMS=200 $(BIN)/pytest tests/acceptance/test_streams.py -n 0

# Compare tiny models of all families with mlx-vlm, and write docs/models.md: some ten minutes.
families: $(VENV)/.develop
	$(BIN)/python -m tools.families

# Run unmodified clients for Python and Node against a server, and write docs/clients.md: some five minutes.
clients: $(VENV)/.develop
	$(BIN)/python -m tools.clients

# Test how Photos libraries are read with the newest osxphotos, in an environment of its own: half a minute.
# CAPTIONQ_TEST_PHOTOS_LIBRARY=~/Pictures/NAME.photoslibrary reads a real library, too.
PHOTOS := build/photos/bin/python
photos: $(VENV)/.develop
	$(UV) venv --quiet --allow-existing --python $(BIN)/python build/photos
	$(UV) pip sync --quiet --python $(PHOTOS) --require-hashes requirements/develop.txt
	$(UV) pip install --quiet --python $(PHOTOS) --no-build-isolation --upgrade-package osxphotos \
	--constraints requirements/develop.txt --excludes requirements/unused.in --editable '.[photos]'
	$(PHOTOS) -m pytest -n 0 tests/jobs/images/photos_library tests/cli/runs/photos

# Build the site of the documentation into build/site. Broken links and pages without a place in it are errors.
site: $(VENV)/.develop
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "build/site/index.html"

# Run the sessions of the tutorial and of docs/guides, and put their output into the pages.
guides: $(VENV)/.develop
	$(BIN)/pytest -q tests/acceptance/test_guides.py --rewrite-guides

# Take the pictures of the page for the docs: docs/pictures/page-*.webp.
screenshots: $(VENV)/.develop
	$(BIN)/python -m tools.screenshots

# Build the package into dist/.
wheel: $(VENV)/.use
	$(BIN)/python -m hatchling build --target wheel --directory dist

# Make a release and publish nothing: make release VERSION=1.2.0. DRY_RUN=1 makes its files only, GATE=no leaves the tests out.
release: $(VENV)/.develop
	$(BIN)/python -m tools.release $(if $(DRY_RUN),--dry-run) $(if $(filter no,$(GATE)),--without-gate) $(VERSION)

# Make a release in a copy of the checkout, install its wheel and its sdist into fresh environments, and caption with them: a minute.
wheel-test: $(VENV)/.develop
	$(BIN)/pytest -q -n 0 --thorough tests/test_release.py

# Look for the packages that have no wheel for a Mac, of each version of macOS and of Python.
wheels: $(VENV)/.develop
	$(BIN)/python -m tools.wheels

format: $(VENV)/.develop
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Run the worker for docker-compose.yml's API, on the same database, broker and uploads.
worker-for-compose: $(VENV)/.use
	CAPTIONQ_DATABASE_URL=postgresql+psycopg://captionq@127.0.0.1:5432/captionq PGPASSWORD="$$CAPTIONQ_POSTGRES_PASSWORD" \
	CAPTIONQ_REDIS_URL=redis://127.0.0.1:6379/0 CAPTIONQ_DATA_DIR=captionq-data \
	CAPTIONQ_PATH_MAP="$${CAPTIONQ_PATH_MAP:-/pictures=$${CAPTIONQ_PICTURES:-$(CURDIR)/captionq-data/pictures}}" $(BIN)/captionq work

# uv installs the hashed locks; pip puts uv into .venv.
$(UV):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "captionq needs Python 3.11 or newer; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv

INSTALL = $(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .

$(VENV)/.use: pyproject.toml requirements/use.txt | $(UV)
	@test -e $(VENV)/.develop || $(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/use.txt
	$(INSTALL)
	@touch $@

$(VENV)/.develop: pyproject.toml requirements/develop.txt | $(UV)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/develop.txt
	$(INSTALL)
	@touch $@ $(VENV)/.use

# The locks name versions and hashes for every platform, and no registry. use.txt runs everything, api.txt only the API.
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 pyproject.toml --group build --extra postgres --extra s3 --excludes requirements/unused.in
lock: | $(UV)
	$(LOCK) --output-file requirements/use.txt
	$(LOCK) --group dev --group docs --group release --overrides requirements/overrides.in --constraints requirements/use.txt --output-file requirements/develop.txt
	$(LOCK) --excludes requirements/worker-only.in --constraints requirements/use.txt --output-file requirements/api.txt
	$(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 requirements/clients.in --output-file requirements/clients.txt

clean:
	rm -rf $(VENV)
