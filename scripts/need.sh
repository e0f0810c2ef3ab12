#!/usr/bin/env bash
# Makes sure that the programs named are there: uses the machine's, installs them with apt where it
# may, and otherwise says what is missing. Knows: postgres, chromium, venv, go, ruby.
set -euo pipefail

present() {
  case "$1" in
    postgres) compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v initdb >/dev/null ;;
    chromium) [ -x "${CHROMIUM_BIN:-/usr/bin/chromium}" ] ;;
    venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    go | ruby) command -v "$1" >/dev/null ;;
  esac
}

package() {
  case "$1" in
    postgres) echo postgresql ;;
    chromium) echo chromium ;;
    venv) echo python3-venv ;;
    go) echo golang-go ;;
    ruby) echo ruby ;;
    *) echo "need.sh does not know $1" >&2; exit 2 ;;
  esac
}

missing=()
for program in "$@"; do
  present "$program" || missing+=("$(package "$program")")
done
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "The tests need ${missing[*]}. Install it with your system's packages and try again." >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
for program in "$@"; do
  present "$program" || { echo "$program is still missing after its package was installed." >&2; exit 1; }
done
