#!/usr/bin/env bash
# Prints the folder that holds a real Kubernetes control plane for the tests: etcd, kube-apiserver,
# kube-controller-manager and kubectl.
#
# It is $KUBEBUILDER_ASSETS where that is set. Otherwise it is built once from Debian's source package of Kubernetes
# into a cache folder, which takes about 5 minutes on 2 cores and 1.5 GiB of disk meanwhile. That works on Debian 12, as
# root or with sudo.
set -euo pipefail

programs="etcd kube-apiserver kube-controller-manager kubectl"
say() { echo "control plane: $*" >&2; }

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for program in $programs; do
    [ -x "$KUBEBUILDER_ASSETS/$program" ] || { say "there is no $program in KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS"; exit 1; }
  done
  echo "$KUBEBUILDER_ASSETS"
  exit
fi

out=${XDG_CACHE_HOME:-$HOME/.cache}/oarlock/control-plane-1
complete=yes
for program in $programs; do [ -x "$out/$program" ] || complete=; done
if [ -n "$complete" ]; then
  echo "$out"
  exit
fi

if ! grep -qs '^VERSION_CODENAME=bookworm$' /etc/os-release; then
  say "building it needs Debian 12; elsewhere, set KUBEBUILDER_ASSETS to a folder with $programs"
  exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
  as_root=$(command -v sudo) || { say "it needs packages: run this as root, or install sudo"; exit 1; }
fi
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

say "building it once, into $out (about 5 minutes)"
say "packages: the Go compiler, etcd"
# The reflect2 in Kubernetes' own vendor folder crashes the API server when built with Go 1.18 or later.
$as_root apt-get update -qq >&2
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
  golang-go etcd-server dpkg-dev golang-github-modern-go-reflect2-dev >&2

say "source: Debian's package kubernetes"
# The machine's own package sources, with source packages instead of binary ones, beside apt's own lists.
mkdir -p "$work/lists/partial" "$work/source"
if [ -f /etc/apt/sources.list.d/debian.sources ]; then
  sources=$work/source.sources
  sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources > "$sources"
else
  sources=$work/source.list
  sed -n 's/^deb /deb-src /p' /etc/apt/sources.list > "$sources"
fi
from_source=(-o "Dir::Etc::sourcelist=$sources" -o Dir::Etc::sourceparts=- -o "Dir::State::Lists=$work/lists"
  -o APT::Sandbox::User=root)
apt-get "${from_source[@]}" update -qq >&2
(cd "$work/source" && apt-get "${from_source[@]}" source -qq --download-only kubernetes >&2)

# Kubernetes 1.20 is built outside of Go's modules, which refuse its go.mod since Go 1.16.
kubernetes=$work/gopath/src/k8s.io/kubernetes
mkdir -p "$kubernetes"
tar xzf "$work"/source/kubernetes_*.orig.tar.gz -C "$kubernetes" --strip-components=1
rm -r "$kubernetes/vendor/github.com/modern-go/reflect2"
cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 "$kubernetes/vendor/github.com/modern-go/"
export GO111MODULE=off GOPATH=$work/gopath GOCACHE=$work/gocache CGO_ENABLED=0 GOFLAGS=
cd "$kubernetes"

say "compiling: OpenAPI definitions"
# They are not in the source but generated from its comments.
go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
packages=$(grep -rl --include='*.go' --exclude='*_test.go' '+k8s:openapi-gen=true' pkg staging/src vendor/k8s.io |
  xargs -n1 dirname | sed -e 's#^staging/src/#vendor/#' -e 's#^#k8s.io/kubernetes/#' |
  grep -vE 'sample-apiserver|code-generator|kube-openapi' | sort -u | paste -sd,)
"$work/openapi-gen" -O zz_generated.openapi --go-header-file hack/boilerplate/boilerplate.generatego.txt \
  --output-base "$work/gopath/src" -p k8s.io/kubernetes/pkg/generated/openapi -i "$packages" -r /dev/null >&2

mkdir -p "$out"
version=k8s.io/kubernetes/vendor/k8s.io/component-base/version
for program in kube-apiserver kube-controller-manager kubectl; do
  say "compiling: $program"
  go build -ldflags "-s -w -X $version.gitVersion=v1.20.2 -X $version.gitMajor=1 -X $version.gitMinor=20" \
    -o "$out/$program.new" "./cmd/$program"
  mv "$out/$program.new" "$out/$program"
done
cp "$(command -v etcd)" "$out/etcd"
say "built"
echo "$out"
