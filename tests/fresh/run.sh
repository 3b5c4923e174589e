#!/usr/bin/env bash
# Runs the commands of README's "Try it" in a fresh clone as on a newcomer's machine: with an empty
# home, nothing of the caller's environment, and one Python on PATH, $PYTHON or else `python3`.
# `tests/fresh/run.sh "make tools" …` runs other commands. Only what is committed is cloned.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if (($# == 0)); then
  set -- "make demo" "make test"
fi

fresh=$(mktemp -d "${TMPDIR:-/tmp}/accretion-fresh.XXXXXX")
mkdir "$fresh/bin" "$fresh/home" "$fresh/tmp"

# Everything of the system but its Pythons, and cargo, which rustup has in a home.
cargo=$(dirname "$(command -v cargo)")
find -L "$cargo" -maxdepth 1 -type f \( -name 'cargo*' -o -name 'rust*' \) \
  -exec ln -sf -t "$fresh/bin" {} +
find /usr/local/bin /usr/bin /bin -maxdepth 1 ! -type d ! -name 'python*' ! -name 'pip*' ! -name uv \
  ! -name sam -exec ln -sf -t "$fresh/bin" {} +
python=$("${PYTHON:-python3}" -c 'import sys; print(sys._base_executable)')
printf '#!/bin/sh\nexec "%s" "$@"\n' "$python" >"$fresh/bin/python3"
chmod +x "$fresh/bin/python3"

environment=(HOME="$fresh/home" PATH="$fresh/bin" TMPDIR="$fresh/tmp")
environment+=(RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}")
# The way to the package registries is the machine's, not the user's.
for name in http_proxy https_proxy no_proxy SSL_CERT_FILE SSL_CERT_DIR PIP_CERT REQUESTS_CA_BUNDLE \
  PIP_INDEX_URL UV_DEFAULT_INDEX; do
  if [[ -n ${!name:-} ]]; then
    environment+=("$name=${!name}")
  fi
done

git clone --quiet "$root" "$fresh/clone"
cd "$fresh/clone"
"$fresh/bin/python3" -V
failed=()
for command in "$@"; do
  echo "\$ $command"
  env -i "${environment[@]}" bash -c "$command" </dev/null || failed+=("\`$command\` failed")
done
left=$(git status --porcelain)
if [[ -n $left ]]; then
  failed+=("files are left that git does not ignore: $left")
fi

if ((${#failed[@]} > 0)); then
  printf 'error: %s\n' "${failed[@]}"
  echo "note: all of it is in $fresh"
  exit 1
fi
rm -rf "$fresh"
echo "ok: $*"
