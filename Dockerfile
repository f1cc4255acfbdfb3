# An image with nothing but the program and its embedded web client: no shell, an unprivileged user, and /data as the only
# writable directory.

FROM node:22.21.1-bookworm-slim AS client
WORKDIR /source
COPY package.json package-lock.json ./
COPY web/package.json web/
COPY test/browser/package.json test/browser/
RUN npm ci --no-fund --no-audit --ignore-scripts
COPY web web
RUN npm run build -w web

FROM golang:1.26.8-bookworm AS program
WORKDIR /source
COPY go.mod go.sum ./
COPY gokaplus/go.mod gokaplus/go.sum gokaplus/
RUN GOWORK=off go mod download
COPY . .
COPY --from=client /source/web/dist web/dist
# The build context has no .git, so pass the version: --build-arg VERSION=$(git describe --always --dirty)
ARG VERSION
RUN mkdir -p /out/data && CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.stamped=$VERSION" -o /out/ecupcakes ./cmd/ecupcakes

FROM scratch
COPY --from=program /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=program /out/ecupcakes /usr/local/bin/ecupcakes
COPY --from=program --chown=65532:65532 /out/data /data
USER 65532:65532
ENV ECUPCAKES_LISTEN=0.0.0.0:8080 ECUPCAKES_DATA=/data
EXPOSE 8080
VOLUME /data
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --start-interval=1s --retries=6 \
  CMD ["/usr/local/bin/ecupcakes", "health"]
ENTRYPOINT ["/usr/local/bin/ecupcakes"]
CMD ["up"]
