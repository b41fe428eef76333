# The emulator, and the other commands of webpubsub:
#
#   docker build -t webpubsub .
#   docker build --target functions -t functions .   # the sample application
#
# docs/docker.md describes both. A test carries out what is below without an engine.

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION
ARG OUT=/out
# The tags are those of .goreleaser.yaml.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -tags lambda.norpc,webpubsub.nocloudevents \
    -ldflags "-s -w -X example.com/webpubsub/internal/emulator/control.version=$VERSION" \
    -o "$OUT/" ./cmd/webpubsub ./functions

FROM scratch AS functions
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/functions /functions
USER 65532:65532
ENV PORT=7071
EXPOSE 7071
ENTRYPOINT ["/functions"]

FROM scratch
# For event handlers with https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/webpubsub /webpubsub
USER 65532:65532
ENV WEBPUBSUB_ADDR=0.0.0.0:8080
# For health: a container has no name localhost unless its engine adds it.
ENV WEBPUBSUB_URL=http://127.0.0.1:8080
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["/webpubsub", "health"]
ENTRYPOINT ["/webpubsub"]
CMD ["emulator"]
