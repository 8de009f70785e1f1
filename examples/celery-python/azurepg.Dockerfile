# The sidecar's image. The build context is the root of the repository:
#
#	docker build -f examples/celery-python/azurepg.Dockerfile -t "$AZUREPG_IMAGE" .
FROM golang:1.25 AS build
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /azurepg ./cmd/azurepg

# Nothing but the program and the roots that it verifies Entra and PostgreSQL with.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /azurepg /azurepg
USER 65532:65532
ENTRYPOINT ["/azurepg"]
