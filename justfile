# What CI runs, in its order.
check: fmt clippy test

fmt:
    cargo fmt --all --check

clippy:
    cargo clippy --workspace --all-targets -- -D warnings

test:
    cargo test --workspace

# The figures of docs/benchmarks.md.
bench:
    cargo bench --workspace --bench load

# What the document says against what the server does, as five identities; schemathesis is on PyPI.
schemathesis:
    cargo build
    tests/schemathesis.py target/debug/infirmary "$(command -v schemathesis)"

demo:
    cargo run --release -- demo
