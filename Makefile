# pg_tviews: build, test and try it. `make help` lists the commands.
# PG=18 (default), 17, 17-assert, 16, 15, 18-assert, 19: private copies of servers below target/cache. PG_CONFIG=… : a server of yours.
PG ?= 18
SERVER = $(or $(PG_CONFIG),$(PG))
PROFILE ?= release
SECONDS ?= 0
PYTHON ?= python3
DEV = $(if $(filter dev,$(PROFILE)),--dev)
export TESTS SEED SCALE ONLY

help:
	@echo 'make build              compile the extension (PROFILE=release|dev)'
	@echo 'make install            … and install it into the server'
	@echo 'make cli                the command tviews, with man pages and completions, below target/command'
	@echo 'make book               the documentation as a book, below target/book'
	@echo 'make reference plots    parts of the reference that are generated; plots of the benchmarks'
	@echo 'make deb                packages of Debian, of the extension and of its symbols, below target/packages (PG=15, the default of it, 17 or 18)'
	@echo 'make reproducible       two builds in two directories: the same bytes (twice the time of make deb)'
	@echo 'make check              all tests; TESTS="tier or test …" runs some of them'
	@echo 'make check-fast         the same without the minutes of the differential and hostile tests and TPC-H'
	@echo 'make demo               real data, real writes: what a TVIEW does and costs, on one screen'
	@echo 'make bench              benchmarks'
	@echo 'make bench-tpch         TPC-H at scale factors 0.1 and 1 (SCALE=0.1, ONLY=3,18: some of it)'
	@echo 'make soak               refreshes of all kinds for MINUTES=20, while processes and servers are killed'
	@echo 'make faults             breaks rules of maintenance one at a time: the differential test must notice'
	@echo 'make core               PostgreSQL'"'"'s own suites with the extension there (PG=18-assert, the default of it, or 17-assert)'
	@echo 'make mine               queries of the suite of PostgreSQL and of SQLsmith as those of TVIEWs (half an hour; SOURCES="join sqlsmith": some of it)'
	@echo 'make valgrind           regress with every process of a server under Valgrind (an hour or two; TESTS="test …": some of it)'
	@echo 'make clients            examples for Django, SQLAlchemy, tokio-postgres and node: installed, and run (CLIENTS="django node": some of them)'
	@echo 'make scale-out          examples/scale_out: a writer, six subscribers and a coordinator (PG=15, the default of it, or 18-debian)'
	@echo 'make packages           what is not part of make check: release, pg_upgrade, the validator of META.json'
	@echo 'make lint deny          clippy and rustfmt; licences and sources of dependencies'
	@echo 'make fuzz               differential test until interrupted, or for SECONDS=…; SEED=…'
	@echo 'make clean              remove what was built; downloaded servers stay (clean-all removes these too)'
	@echo
	@echo 'PG=18 (default) | 17 | 17-assert | 16 | 15 | 18-assert | 19: a private copy of that server below target/cache'
	@echo 'PG_CONFIG=/path/to/pg_config: an installed server instead'

build:
	$(PYTHON) tools/build.py build $(SERVER) $(DEV)

# What clients of PGXN call.
all: build

install:
	$(PYTHON) tools/build.py install $(SERVER) $(DEV)

deb:
	@$(PYTHON) tools/deb.py build $(DEB)

reproducible:
	@$(PYTHON) tools/reproducible.py $(DEB)

cli:
	$(PYTHON) tools/command.py

book:
	@$(PYTHON) tools/book.py

reference:
	@$(CHECK_PROFILE) $(PYTHON) tools/reference.py $(SERVER)

plots:
	@$(PYTHON) tools/plots.py

# tests run on the quicker dev build unless PROFILE is given
CHECK_PROFILE = $(if $(filter file,$(origin PROFILE)),,PROFILE=$(PROFILE))

check:
	@$(CHECK_PROFILE) $(PYTHON) tools/check.py house unit $(SERVER)

check-fast:
	@$(CHECK_PROFILE) $(PYTHON) tools/check.py --fast house unit $(SERVER)

# The server of a package of Debian, and of examples that need postgres_fdw: 15 unless PG is given.
DEB = $(if $(filter file,$(origin PG)),15,$(PG))

clients:
	@$(CHECK_PROFILE) TESTS=applications $(PYTHON) tools/check.py $(SERVER)

scale-out:
	@$(CHECK_PROFILE) TESTS=scale_out $(PYTHON) tools/check.py $(DEB)

packages:
	@$(CHECK_PROFILE) TESTS="release pg_upgrade" $(PYTHON) tools/check.py meta 18

faults:
	@$(PYTHON) tools/check.py faults

core:
	@$(CHECK_PROFILE) $(PYTHON) tools/check.py core:$(if $(filter file,$(origin PG)),18-assert,$(PG))

mine:
	@$(CHECK_PROFILE) $(PYTHON) tools/check.py mine:18-assert

valgrind:
	@$(CHECK_PROFILE) $(PYTHON) tools/check.py valgrind

lint:
	@$(PYTHON) tools/check.py format lint

deny:
	@$(PYTHON) tools/check.py deny

fuzz:
	@$(CHECK_PROFILE) TESTS=differential SECONDS_DIFFERENTIAL=$(SECONDS) $(PYTHON) tools/check.py $(SERVER)

demo:
	@$(PYTHON) demo/run.py $(SERVER)

bench:
	@test -f bench/run.py || { echo 'there are no benchmarks yet'; exit 1; }
	@$(PYTHON) bench/run.py $(SERVER)
	@$(PYTHON) bench/writers.py $(SERVER)
	@$(PYTHON) bench/many_writers.py $(SERVER)
	@$(PYTHON) bench/deferred.py $(SERVER)
	@$(PYTHON) bench/syntax.py $(SERVER)
	@$(PYTHON) bench/documents.py $(SERVER)
	@$(PYTHON) bench/loads.py $(SERVER)
	@$(PYTHON) bench/creation.py $(SERVER)
	@$(PYTHON) bench/statements.py $(SERVER)
	@$(PYTHON) bench/many_tviews.py $(SERVER)
	@$(PYTHON) bench/sessions.py $(SERVER)
	@$(PYTHON) bench/apply.py $(SERVER)

soak:
	@$(PYTHON) bench/soak.py $(or $(MINUTES),20) $(SERVER)

bench-tpch:
	@$(PYTHON) bench/tpch/run.py $(SERVER)

clean:
	rm -rf target/host target/command target/book target/typecheck target/results target/pg*

clean-all:
	rm -rf target

.PHONY: help all build install deb reproducible cli book reference plots check check-fast clients scale-out packages faults core mine valgrind lint deny fuzz demo bench bench-tpch soak clean clean-all
