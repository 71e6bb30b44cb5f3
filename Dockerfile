# The first stage compiles specwave and prepares the sentence embedder; the second one has what a run needs: the program, Python with
# venv for the fastapi target, and a user without rights.

FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /specwave
COPY scripts scripts
RUN scripts/prepare-embedder /var/lib/specwave
COPY Cargo.toml Cargo.lock build.rs ./
COPY src src
COPY migrations migrations
COPY cypher cypher
COPY targets targets
COPY benches benches
RUN cargo build --release --locked --bin specwave

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/specwave specwave
COPY --from=build /specwave/target/release/specwave /usr/local/bin/specwave
COPY --from=build --chown=specwave:specwave /var/lib/specwave /var/lib/specwave
USER specwave
WORKDIR /var/lib/specwave
ENV SPECWAVE_DATA_DIR=/var/lib/specwave
EXPOSE 7070
# Anything but loopback needs SPECWAVE_HTTP_TOKEN.
ENV SPECWAVE_HTTP_ADDRESS=0.0.0.0:7070
CMD ["specwave", "serve"]
