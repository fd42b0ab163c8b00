# Every developer verb; the logic is in build/.

default:
    @just --list

# Formatting, lint and types.
check:
    python3 build/test.py --check -m "not clients" tests/test_imports.py

# All tests that need nothing but Python; `just test --clients` also with real coding tools.
test *ARGS:
    python3 build/test.py {{ARGS}}

# The golden translations.
vectors:
    python3 build/test.py tests/vectors

# Figures against the bare relay.
bench *ARGS:
    python3 build/bench.py {{ARGS}}

# Fuzz parsers, decoders and loaders; seconds.
fuzz SECONDS="600":
    python3 build/fuzz.py {{SECONDS}}

build:
    python3 build/run.py --build-only

run:
    python3 build/run.py
