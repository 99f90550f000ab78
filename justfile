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

demo:
    cargo run --release -- demo
