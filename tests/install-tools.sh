#!/bin/sh
# Installs what the tests need beside Python, or names what is missing and how to get it.
#   install-tools.sh FOLDER GRPCURL_VERSION
set -eu
folder=$1
version=$2

if [ -x "$folder/grpcurl" ] || command -v grpcurl >/dev/null 2>&1; then
    exit 0
fi
if ! command -v go >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    apt-get install -y -qq golang-go >/dev/null
fi
if command -v go >/dev/null 2>&1; then
    mkdir -p "$folder"
    GOBIN=$folder go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$version"
else
    echo "missing: grpcurl $version. Install it, or Go (Debian package golang-go): its tests are skipped" >&2
fi
