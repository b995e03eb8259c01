#!/usr/bin/env bash
# Prints the path of promtool, which checks what is for Prometheus. Where there is none, it is taken out of Debian's package
# prometheus, which is not installed, and kept in a cache folder.
set -euo pipefail

if command -v promtool; then exit; fi
out=${XDG_CACHE_HOME:-$HOME/.cache}/oarlock/promtool-1
mkdir -p "$out"
exec 9> "$out/lock"
flock 9
if [ ! -x "$out/promtool" ]; then
  command -v apt-get >/dev/null || { echo "promtool: the tests need it, from a release of Prometheus" >&2; exit 1; }
  echo "promtool: taking it out of Debian's package prometheus, into $out" >&2
  work=$(mktemp -d -p "$out")
  trap 'rm -rf "$work"' EXIT
  # As the one who reads the folder, and not as apt's own user.
  download=(apt-get -o APT::Sandbox::User=root download -qq prometheus)
  if ! (cd "$work" && "${download[@]}" >&2); then
    as_root=; [ "$(id -u)" = 0 ] || as_root=$(command -v sudo) || { echo "promtool: as root: apt-get update" >&2; exit 1; }
    $as_root apt-get update -qq >&2
    (cd "$work" && "${download[@]}" >&2)
  fi
  dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar x -C "$work" ./usr/bin/promtool
  mv "$work/usr/bin/promtool" "$out/promtool"
fi
echo "$out/promtool"
