# Sourced by each `run`: where things are, and how they are installed without leaving the tree.
#
# SWITCHBOARD is the program under test. What is downloaded or made goes to `node_modules` of the package and to
# `interop` in cargo's target folder; both are kept between runs.

set -euo pipefail
shopt -s inherit_errexit
interop=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$(cd "$interop/../.." && pwd)/target}
kept=$target/interop
export SWITCHBOARD=${SWITCHBOARD:-$target/ci/switchboard}
export CERTIFICATES=$kept/certificates
export PYTHONPATH=$interop/shared PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
mkdir -p "$kept"

fail() {
  echo "$*" >&2
  exit 1
}

[ -x "$SWITCHBOARD" ] || fail "no program at $SWITCHBOARD: cargo build --profile ci -p switchboard-cli"

# Runs a command whose words matter only when it fails.
quietly() {
  local words
  words=$("$@" 2>&1 </dev/null) || fail "$* failed:"$'\n'"$words"
}

# Builds our programs, with the features of the other tests, so that what those have built is used again.
programs() {
  quietly cargo build --locked --profile ci --workspace --all-features --bins --examples
}

# The packages of package-lock.json, into ./node_modules.
npm_packages() {
  [ node_modules/.package-lock.json -nt package-lock.json ] || quietly npm ci --no-audit --no-fund --no-update-notifier
}

# The packages of requirements.txt, in a virtual environment whose interpreter is then $python.
python_packages() {
  local environment=$kept/python-${PWD##*/}
  python=$environment/bin/python
  cmp -s requirements.txt "$environment/requirements.txt" && return
  rm -rf "$environment"
  quietly python3 -m venv "$environment"
  quietly "$python" -m pip install --no-deps --requirement requirements.txt
  cp requirements.txt "$environment"
}

# Two authorities and what they issued, made anew after 20 days.
certificates() {
  openssl x509 -noout -checkend $((10 * 86400)) -in "$CERTIFICATES/complete.pem" >/dev/null 2>&1 && return
  rm -rf "$CERTIFICATES"
  mkdir -p "$CERTIFICATES"
  (
    cd "$CERTIFICATES"
    authority authority
    authority stranger
    certificate local 'DNS:localhost,IP:127.0.0.1'
    certificate elsewhere 'DNS:elsewhere.example'
    certificate rsa 'DNS:localhost,IP:127.0.0.1' rsa:2048
    cp local.pem complete.pem
  )
}

authority() {
  quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj "/CN=$1" \
    -addext 'keyUsage=critical,keyCertSign' -keyout "$1.key" -out "$1.pem"
}

certificate() {
  local key=(ec -pkeyopt ec_paramgen_curve:P-256)
  [ $# -lt 3 ] || key=("$3")
  quietly openssl req -new -newkey "${key[@]}" -noenc -subj "/CN=$1" -addext "subjectAltName=$2" \
    -addext 'basicConstraints=CA:FALSE' -keyout "$1.key" -out "$1.request"
  quietly openssl x509 -req -in "$1.request" -copy_extensions copy -CA authority.pem -CAkey authority.key \
    -days 30 -out "$1.pem"
}
