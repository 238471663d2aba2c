#!/bin/sh
# Installs what the tests need beside Python, or names what is missing and how to get it; in CI that is an error.
#   install-tools.sh FOLDER GRPCURL_VERSION HELM_VERSION
set -eu
folder=$1
grpcurl_version=$2
helm_version=$3
sources=$(cd "$(dirname "$0")" && pwd)/cluster/kube-apiserver
complete=true
export CGO_ENABLED=0

missing() {
    echo "missing: $1; its tests are skipped" >&2
    complete=false
}

install_go() {
    if ! command -v go >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq || true
        apt-get install -y -qq golang-go >/dev/null
    fi
    command -v go >/dev/null 2>&1
}

# Beside a program that was built here stands of what it was built, in a file of the same name with a dot before it.
is_built() {
    [ -x "$folder/$1" ] && [ "$(cat "$folder/.$1" 2>/dev/null)" = "$2" ]
}

is_elsewhere() {
    [ ! -e "$folder/$1" ] && command -v "$1" >/dev/null 2>&1
}

install_command() {
    if is_built "$1" "$3" || is_elsewhere "$1"; then
        return
    fi
    echo "building $1 $3" >&2
    if GOBIN=$folder nice go install -trimpath -ldflags '-s -w' "$2@$3"; then
        echo "$3" >"$folder/.$1"
    else
        missing "$1 $3, which could not be built"
    fi
}

# Put into its place by a rename: a test that starts it meanwhile gets the whole of the old or of the new one.
build_program() {
    if is_built "$1" "$stamp"; then
        return
    fi
    echo "building $1: with nothing in Go's cache it takes minutes" >&2
    if (cd "$sources" && nice go build -trimpath -ldflags '-s -w' -o "$folder/$1.new" "$2"); then
        mv "$folder/$1.new" "$folder/$1"
        echo "$stamp" >"$folder/.$1"
    else
        missing "$1, which could not be built"
    fi
}

# Taken out of its package: installed, it would run as a service.
unpack_debian_etcd() {
    if [ -x "$folder/debian-etcd" ]; then
        return
    fi
    if [ -x /usr/bin/etcd ]; then
        ln -sf /usr/bin/etcd "$folder/debian-etcd"
        return
    fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq || true
    fi
    unpacked=$(mktemp -d)
    if (cd "$unpacked" && apt-get download -qq etcd-server && dpkg-deb -x etcd-server_*.deb .) >/dev/null 2>&1; then
        mv "$unpacked/usr/bin/etcd" "$folder/debian-etcd"
    else
        missing "Debian's etcd, which has no streamed lists (package etcd-server)"
    fi
    rm -rf "$unpacked"
}

# What the datapath is programmed with; a machine that has them all is left alone.
install_packages() {
    if command -v iptables-nft >/dev/null 2>&1 && command -v ipset >/dev/null 2>&1 &&
        command -v conntrack >/dev/null 2>&1; then
        return
    fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq || true
        apt-get install -y -qq iproute2 iptables ipset conntrack >/dev/null && return
    fi
    missing "iptables, ipset or conntrack (Debian packages of these names)"
}

mkdir -p "$folder"
install_packages
if install_go; then
    stamp=$(cd "$sources" && cat go.mod go.sum main.go etcd/main.go | sha256sum | cut -d' ' -f1)
    install_command grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl "$grpcurl_version"
    install_command helm helm.sh/helm/v3/cmd/helm "$helm_version"
    build_program kube-apiserver .
    build_program etcd ./etcd
else
    for program in "grpcurl $grpcurl_version" "helm $helm_version" kube-apiserver etcd; do
        [ -x "$folder/${program%% *}" ] || command -v "${program%% *}" >/dev/null 2>&1 ||
            missing "$program: install it, or Go (Debian package golang-go)"
    done
fi
unpack_debian_etcd
[ "$complete" = true ] || [ "${CI:-}" != true ]
