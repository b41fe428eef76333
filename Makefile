# Every check is a step of .ci/run, so that what passes here passes in CI.

.PHONY: check test race lint fmt interop bench guard dist

check:
	.ci/run

test:
	go test ./...

race lint fmt interop:
	.ci/run $@

# Side by side with the peers; takes about 15 minutes and wants a quiet machine.
bench:
	cd bench && go run . -o RESULTS.md

# The micro-benchmarks of this tree against those of another revision.
guard:
	bench/guard.sh $(BASE)

dist:
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -trimpath -ldflags "-s -w" -o dist/bin/functions ./functions
	cp host.json dist/
