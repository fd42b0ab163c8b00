#!/usr/bin/env bash
# Writes the lock files anew: `bash build/lock/update.sh` (needs uv; takes the newest versions that fit).
set -euo pipefail
cd "$(dirname "$0")/../.."
lock() {
  uv pip compile --quiet --upgrade pyproject.toml --universal --python-version 3.11 \
    --generate-hashes --no-header --no-annotate --output-file "build/lock/$1.txt" "${@:2}"
}
lock runtime --extra codecs
lock test --extra codecs --group dev
lock clients --extra codecs --group dev --group clients
uv pip compile --quiet --upgrade --group build --universal --python-version 3.11 \
  --generate-hashes --no-header --no-annotate --output-file build/lock/build.txt
