# Every check is a step of .ci/run, so that what passes here passes in CI.

.PHONY: check test race lint fmt interop bench dist

check:
	.ci/run

test:
	go test ./...

race lint fmt interop:
	.ci/run $@

bench:
	go test -run '^$$' -bench . -benchmem ./handler/... ./service/... ./internal/wire/... ./emulator/...

dist:
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -trimpath -ldflags "-s -w" -o dist/bin/functions ./functions
	cp host.json dist/
