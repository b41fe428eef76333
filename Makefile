# Every check is a step of .ci/run, so that what passes here passes in CI.

.PHONY: check test race lint fmt interop fuzz vuln soak bench guard coldstart dist

check:
	.ci/run

# "go test ./...", and how many tests were skipped and why.
test:
	go run ./internal/test/summary ./...

race lint fmt interop fuzz vuln soak:
	.ci/run $@

# Side by side with the peers; takes about 15 minutes and wants a quiet machine.
bench:
	cd bench && go run . -o RESULTS.md

# The micro-benchmarks of this tree against those of another revision.
guard:
	bench/guard.sh $(BASE)

# Time to the first answer, memory and size of the package.
coldstart:
	go test -run '^$$' -bench ColdStart -benchtime 30x ./cmd/webpubsub

# What is deployed: a zip for Azure Functions, and the same as a folder for azd.
dist:
	go run ./cmd/webpubsub package
	go run ./cmd/webpubsub package -o dist/app
