# List the recipes
default:
    @just --list

# Run every test, as on a fresh clone
test *args:
    cargo test --workspace --locked {{ args }}

# Hold the stored bytes, notices and key format to their golden files
golden:
    cargo test -p tests --locked --test golden

# Check format and lints, as `.ci/run` does
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Format all code
fmt:
    cargo fmt --all

# Check dependencies: who links what, licences, sources and known advisories
deny:
    cargo deny --locked check --hide-inclusion-graph

# Run all that a merge needs
ci:
    bash .ci/run

# Tell the whole story on an embedded log
demo *args:
    cargo run --release --locked -- demo {{ args }}

# Serve on loopback, the log in ./rescind-data
serve *args:
    cargo run --release --locked -- serve {{ args }}

# Kill -9 under load, 1,000 cycles, nothing acknowledged may be lost; 1,000,000 imported keys, interrupted twice; 200 fault runs over guards; every attack on an archive at 1,000 places
torture cycles="1000" faults="200" places="1000":
    cargo run --release --locked -p tests --bin torture -- --cycles {{ cycles }}
    cargo run --release --locked -p tests --bin torture -- --import 1000000
    cargo run --release --locked -p tests --bin torture -- --faults {{ faults }}
    cargo run --release --locked -p tests --bin torture -- --tamper {{ places }}

# Simulate 100,000 seeds of commands, faults and crashes, as many with guards, and 1,000,000 short sequences of all commands
sim seeds="100000" sequences="1000000":
    cargo run --release --locked -p tests --bin sim -- --seeds {{ seeds }}
    cargo run --release --locked -p tests --bin sim -- --guards --seeds {{ seeds }}
    cargo run --release --locked -p tests --bin sim -- --short --seeds {{ sequences }}

# Count the instructions of verifying, deciding, encoding and decoding; `just instructions write` makes them the measure
instructions *args:
    cargo run --release --locked -p instructions -- {{ args }}

# Measure each row beside its floor: embedded and NATS R1, 1,000,000 keys. `nats` is a nats-server of 2.12 or later
bench nats="nats-server" *args:
    cargo build --release --locked -p cli
    target/release/rescind bench --keys 1000000 --guards 1,100 --rows '!*-r3-*,!*-hyper,!*-busy-*' --nats-server {{ nats }} --rivals target/peers --out target/bench.md {{ args }}

# Measure every row: NATS R3 too, 10,000,000 keys, rivals beside ours. Stopped, it goes on at the next row
bench-full nats="nats-server" keys="10000000":
    cargo build --release --locked -p cli
    -python3 tests/peers/run.py
    target/release/rescind bench --keys {{ keys }} --nats-server {{ nats }} --rivals target/peers --resume target/bench-{{ keys }} --out target/bench-full.md

# Measure proofs: verifying ten million events, what the write path loses to the notary, how far checkpoints are behind
bench-proof events="10000000":
    cargo run --release --locked -p proof --example verify {{ events }}
    cargo build --release --locked -p cli
    cargo run --release --locked -p tests --bin notary

# Measure beside OpenBao, PostgreSQL, Redis and better-auth, row by row; what target/peers has already is not measured again
bench-peers *args:
    cargo build --release --locked -p cli
    python3 tests/peers/run.py {{ args }}
