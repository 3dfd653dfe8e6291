# The two commands that matter stand in README: "go run ./cmd/atoll dev" and
# "make test". Each target below also stands alone; "make help" lists them.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# Linters run at fixed versions through the module proxy; the build cache keeps them.
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@v1.8.0

# Packages whose tests also run under the race detector.
CONCURRENT := ^atoll/(kv|log|subnet|node|host|route|gateway)(/|$$)

# How often the process is killed, in test-kill and in test-long.
KILLS      := 20
KILLS_LONG := 200
# How often a bit of a store is flipped in test-long.
FLIPS_LONG := 2000

# A tool that a test needs and does not find is a failure here, not a skip.
export ATOLL_REQUIRE_TOOLS := 1

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-14s %s\n", $$1, $$2 }'

# The order is from cheap to dear, and ends with go test's own summary.
.PHONY: test
test: tools fmt vet staticcheck govulncheck arch race test-kill unit ## pass every test of the repository

.PHONY: tools
tools: ## install what the tests need besides Go
	@echo "== tools"
	@scripts/tools.sh

.PHONY: fmt
fmt: ## check that every Go file is formatted
	@echo "== gofmt"
	@bad=$$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 -r gofmt -l); \
	if [ -n "$$bad" ]; then echo "not formatted, run gofmt -w on:"; echo "$$bad"; exit 1; fi

.PHONY: vet
vet: ## run go vet
	@echo "== go vet"
	@go vet ./...

.PHONY: staticcheck
staticcheck: ## run staticcheck
	@echo "== staticcheck"
	@$(STATICCHECK) ./...

.PHONY: govulncheck
govulncheck: ## look for known vulnerabilities, where the database can be reached
	@echo "== govulncheck"
	@if curl -sSf -m 10 -o /dev/null https://vuln.go.dev/index/db.json 2>/dev/null; then $(GOVULNCHECK) ./...; \
	else echo "NOT CHECKED: the vulnerability database vuln.go.dev cannot be reached from here"; fi

.PHONY: arch
arch: ## hold the packages against the table of rooms
	@echo "== architecture"
	@go test ./internal/archtest

.PHONY: unit
unit: ## run every ordinary test, the seeds of all fuzz targets among them
	@echo "== go test ./..."
	@go test -timeout 20m ./...

.PHONY: race
race: ## run the tests of concurrent packages under the race detector
	@echo "== race detector"
	@go list ./... | { grep -E '$(CONCURRENT)' || true; } | xargs -r env CGO_ENABLED=1 go test -race -short -timeout 20m

.PHONY: test-kill
test-kill: ## kill the process under load, a few times
	@echo "== $(KILLS) kills"
	@ATOLL_KILLS=$(KILLS) go test -count=1 -timeout 20m -run '^TestKill' ./internal/killtest

.PHONY: test-long
test-long: tools ## kills, crash points and simulation at full length
	@echo "== $(KILLS_LONG) kills, and everything at full length"
	@ATOLL_LONG=1 ATOLL_KILLS=$(KILLS_LONG) ATOLL_FLIPS=$(FLIPS_LONG) go test -count=1 -timeout 2h ./...

.PHONY: test-oracle
test-oracle: ## hold a million operations on shards against a simple oracle
	@echo "== a million operations"
	@ATOLL_OPERATIONS=1000000 go test -count=1 -timeout 2h -v -run '^TestOperationsAgainstOracle$$' ./program/shard -rapid.steps=100 | grep -v 'rapid. OK'

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (20s)
	@scripts/fuzz.sh $(or $(FUZZTIME),20s)

.PHONY: bench-tools
bench-tools: ## install what the comparisons need besides Go
	@bench/tools.sh

.PHONY: bench-test
bench-test: bench-tools ## test the benchmarks themselves, which are a module of their own
	@cd bench/peers && go vet ./... && $(STATICCHECK) ./... && go test ./...

.PHONY: bench-peers
bench-peers: bench-tools ## compare with other servers, side by side in one run
	@cd bench/peers && go run .

.PHONY: bench-import
bench-import: bench-tools ## import a million documents, beside the disk and other servers
	@cd bench/peers && go run . import

.PHONY: bench-large
bench-large: ## measure the memory of a node with 10 million documents; takes long
	@cd bench/peers && go run . large
