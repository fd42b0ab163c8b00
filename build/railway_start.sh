#!/bin/sh
# Starts Pointsman on Railway, or any host that gives a container its settings as variables.
#
#   AUTH_BUNDLE             account files, from `pointsman bundle create`; with AUTH_BUNDLE_PASSPHRASE
#                           if it is encrypted
#   AUTH_ZIP_URL            instead: the address of a zip or tar.gz archive of account files
#   PASSTHRU_MODELS_JSON    routes, from `pointsman passthru env`; alone it needs no accounts
#   API_KEY_1 .. API_KEY_n  keys of your clients; the first is needed, the first gap ends the list
#   PORT                    port; 8080 without it
#   AUTH_DIR_NAME           folder of the account files; auths_railway without it
#   FORCE_BUILD             1: builds the program anew
#   STREAMING_KEEPALIVE_SECONDS, COPILOT_ACCOUNT_TYPE, COPILOT_AGENT_INITIATOR_PERSIST,
#   COPILOT_FORCE_AGENT_CALL: read by the program itself
#
# A variable that is missing or cannot be read ends it with one line that names it and status 78.
set -eu
umask 077

die() {
    printf 'railway_start: %s\n' "$1" >&2
    exit 78
}

here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
command -v "$python" >/dev/null 2>&1 || die "PYTHON: there is no $python; Python 3.11 or newer is needed"

# Keys -------------------------------------------------------------------------------------------

[ -n "${API_KEY_1:-}" ] || die 'API_KEY_1: is not set; without a key nobody could use the server'
# YAML takes hardly any of these, and its complaint would show the key.
odd=$("$python" -c '
import os, re
for name, key in os.environ.items():
    if re.fullmatch("API_KEY_[0-9]+", name) and not key.isprintable():
        print(name)
        break')
[ -z "$odd" ] || die "$odd: holds a line break or another character that cannot be printed"
newline='
'
keys=
number=1
while :; do
    eval "key=\${API_KEY_$number:-}"
    [ -n "$key" ] || break
    # A text in single quotes, whose own quotes are doubled, means itself in YAML.
    keys="$keys  - '$(printf '%s' "$key" | sed "s/'/''/g")'$newline"
    number=$((number + 1))
done

# Numbers and names ------------------------------------------------------------------------------

port=${PORT:-8080}
case $port in
    *[!0-9]* | 0?* | ??????*) die 'PORT: is no number of 0 to 65535' ;;
esac
[ "$port" -le 65535 ] || die 'PORT: is no number of 0 to 65535'
case ${STREAMING_KEEPALIVE_SECONDS:-0} in
    *[!0-9.]* | .* | *. | *.*.*) die 'STREAMING_KEEPALIVE_SECONDS: is no number of seconds' ;;
esac
auths=${AUTH_DIR_NAME:-auths_railway}
case $auths in
    *[!A-Za-z0-9._/-]* | .. | ../* | */.. | */../*) die 'AUTH_DIR_NAME: is no plain folder name' ;;
    /*) ;;
    *) auths=$here/$auths ;;
esac

# Routes -----------------------------------------------------------------------------------------

if [ -n "${PASSTHRU_MODELS_JSON:-}" ]; then
    problem=$("$python" -c '
import json, os
try:
    routes = json.loads(os.environ["PASSTHRU_MODELS_JSON"])
except ValueError as error:
    print(f"is no JSON: {error}")
else:
    if not isinstance(routes, list) or not routes:
        print("is no JSON array of routes")
    elif not all(isinstance(r, dict) and r.get("model") and r.get("base-url") for r in routes):
        print("holds a route without model or base-url")
') || die 'PASSTHRU_MODELS_JSON: cannot be read'
    [ -z "$problem" ] || die "PASSTHRU_MODELS_JSON: $problem"
elif [ -z "${AUTH_BUNDLE:-}" ] && [ -z "${AUTH_ZIP_URL:-}" ]; then
    die 'AUTH_BUNDLE: is not set, nor are AUTH_ZIP_URL and PASSTHRU_MODELS_JSON; there is nothing to serve'
fi

# The program ------------------------------------------------------------------------------------

if [ -n "${POINTSMAN:-}" ]; then
    [ -e "$POINTSMAN" ] || die "POINTSMAN: there is no $POINTSMAN"
else
    POINTSMAN=$here/dist/pointsman.pyz
    [ "${FORCE_BUILD:-0}" = 0 ] || rm -f "$POINTSMAN"
    if [ ! -f "$POINTSMAN" ]; then
        "$python" "$here/build/run.py" --build-only >&2 || die 'FORCE_BUILD: the program could not be built'
    fi
fi

# Accounts ---------------------------------------------------------------------------------------

config=$auths/.config
if ! mkdir -p "$config" 2>/dev/null || [ ! -w "$auths" ] || [ ! -w "$config" ]; then
    die "AUTH_DIR_NAME: $auths cannot be made or written by user $(id -u)"
fi
if [ -n "${AUTH_BUNDLE:-}" ]; then
    said=$("$python" "$POINTSMAN" bundle restore --env AUTH_BUNDLE --into "$auths" 2>&1) ||
        die "$(printf '%s\n' "$said" | tail -n 1 | sed 's/^pointsman: //')"
elif [ -n "${AUTH_ZIP_URL:-}" ]; then
    said=$("$python" "$POINTSMAN" bundle restore --url "$AUTH_ZIP_URL" --into "$auths" 2>&1) ||
        die "$(printf '%s\n' "$said" | tail -n 1 | sed 's/^pointsman: //')"
fi

# Configuration ----------------------------------------------------------------------------------

# Made anew: that of a start as another user could not be written over.
rm -f "$config/config.yaml"
cat >"$config/config.yaml" <<END
# Written by railway_start.sh at every start.
host: ""
port: $port
auth-dir: '$auths'
api-keys:
$keys
request-retry: 3
max-retry-interval: 30
END
unset AUTH_BUNDLE AUTH_BUNDLE_PASSPHRASE AUTH_ZIP_URL
exec "$python" "$POINTSMAN" serve --config "$config/config.yaml" "$@"
