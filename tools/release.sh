#!/bin/sh
# Makes what a release consists of, from the commit that is checked out: source, package for PGXN, packages of Debian, bills of materials, checksums.
# Usage: tools/release.sh DIRECTORY, which is to be new or empty.
#   PG='15 17 18'        the servers to make packages of Debian for; empty: none
#   SIGN=gpg:KEY         signs the checksums with a key of gpg:                           SHA256SUMS.asc
#   SIGN=openssl:FILE    … with a private Ed25519 key in PEM:                             SHA256SUMS.sig
# Invariant: only what is committed goes in; without SIGN nothing is signed, and the last line says so. Tested by regress/t/release.py.
set -eu
cd "$(dirname "$0")/.."
out=${1:?usage: tools/release.sh DIRECTORY}
python=${PYTHON:-python3}

version=$(sed -n "s/^default_version = '\(.*\)'/\1/p" pg_tviews.control)
$python tools/versions.py
if [ -n "$(git status --porcelain)" ]; then
    echo 'error: there are changes that are not committed' >&2
    exit 1
fi
mkdir -p "$out"
if [ -n "$(ls -A "$out")" ]; then
    echo "error: $out is not empty" >&2
    exit 1
fi
out=$(cd "$out" && pwd)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

git archive --format=tar --prefix="pg_tviews-$version/" HEAD | gzip -9n >"$out/pg_tviews-$version.tar.gz"
git archive --format=zip --prefix="pg_tviews-$version/" -o "$out/pg_tviews-$version.zip" HEAD
$python tools/sbom.py "$out" >/dev/null
for pg in ${PG-15 17 18}; do
    $python tools/deb.py build "$pg" | while read -r package; do cp "$package" "$out"; done
done

cd "$out"
sha256sum -- * >SHA256SUMS
case ${SIGN:-} in
gpg:*) gpg --batch --yes --armor --local-user "${SIGN#gpg:}" --output SHA256SUMS.asc --detach-sign SHA256SUMS ;;
openssl:*) openssl pkeyutl -sign -rawin -inkey "${SIGN#openssl:}" -in SHA256SUMS -out SHA256SUMS.sig ;;
'') ;;
*)
    echo "error: SIGN is to be gpg:KEY or openssl:FILE" >&2
    exit 1
    ;;
esac
[ -n "${SIGN:-}" ] && signed=signed || signed="not signed"
echo "$(wc -l <SHA256SUMS) files in $out, $signed"
