#!/usr/bin/env bash
# Builds the archive that the crate v8 links, from the sources that the crate publishes.
#
#   sudo third_party/v8/rebuild.sh       for the version in Cargo.lock; about 45 minutes on 2 cores, 6 GB in WORK
#
# The crate's own build from source downloads clang, gn, ninja and a Rust toolchain from release pages. Here they come
# from Debian, into a root of their own, and the C library is that of an older Debian, so that the archive links on
# Debian 12 and later. Needs root, an x86_64 Debian with mmdebstrap, cargo, curl, xz-utils and binutils, Debian's mirror
# and the crate registry.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The mirror that this machine uses itself, unless another one is named.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' |
  grep -m 1 -v security || true)}
mirror=${mirror%/}
[[ $mirror ]] || { echo "no Debian mirror was found; name one in DEBIAN_MIRROR" >&2; exit 1; }
work=${WORK:-/var/tmp/rebuild-v8}
# The crate's libc++ asks for a clang as young as trixie's youngest, this V8 for a gn as young as forky's.
tools_suite=trixie gn_suite=forky libc_suite=bookworm
target=x86_64-unknown-linux-gnu

v8=$(sed -n '/^name = "v8"$/{n;s/^version = "\(.*\)"$/\1/p}' "$here/../../Cargo.lock")
# The version of deno_core_icudata that goes with it: the crate v8 leaves ICU's data out.
icu=0.77.0
archive=$here/v$v8/librusty_v8_simdutf_release_$target.a.gz
root=$work/root

make_root() {
  mmdebstrap --variant=apt \
    --include=ca-certificates,clang-22,lld-22,llvm-22,libclang-rt-22-dev,ninja-build,python3,pkg-config \
    "$tools_suite" "$root" "$mirror"
  mmdebstrap --variant=extract --include=libc6-dev,linux-libc-dev,libstdc++-12-dev "$libc_suite" "$root/sysroot" "$mirror"
  # This link is absolute, and would lead out of the sysroot.
  ln -sfn ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "$root/sysroot/lib64/ld-linux-x86-64.so.2"

  # gn is one program that needs no more than libc, so it is taken out of its package.
  local package
  package=$(curl -fsS "$mirror/dists/$gn_suite/main/binary-amd64/Packages.xz" | xz -dc |
    awk -v RS= '/^Package: generate-ninja\n/' | sed -n 's/^Filename: //p')
  curl -fsS -o "$work/gn.deb" "$mirror/$package"
  dpkg-deb --fsys-tarfile "$work/gn.deb" | tar --extract --directory "$root" ./usr/bin/gn

  # Where chromium's build looks for clang's runtime: under the target's full name.
  local runtime=$root/usr/lib/llvm-22/lib/clang/22/lib
  mkdir -p "$runtime/$target"
  cp "$runtime/linux/libclang_rt.builtins-x86_64.a" "$runtime/$target/libclang_rt.builtins.a"
  touch "$root/made"
}

get_sources() {
  mkdir -p "$work/sources/src" "$root/src"
  cat >"$work/sources/Cargo.toml" <<TOML
[package]
name = "sources"
version = "0.0.0"
edition = "2024"
[dependencies]
v8 = "=$v8"
deno_core_icudata = "=$icu"
TOML
  touch "$work/sources/src/lib.rs"
  (cd "$work/sources" && CARGO_HOME=$work/cargo cargo fetch)
  rm -rf "$root/src/v8crate"
  cp -r "$work"/cargo/registry/src/*/"v8-$v8" "$root/src/v8crate"
  install -D "$work"/cargo/registry/src/*/"deno_core_icudata-$icu"/src/icudtl.dat \
    "$root/src/v8crate/third_party/icu/common/icudtl.dat"
  # Looked for, though nothing of it is used.
  mkdir -p "$root/src/v8crate/third_party/rust-toolchain/bin"
}

compile() {
  cp "$here"/rebuild/* "$root/src/"
  chmod +x "$root/src/clang++"
  ln -sfn /src/clang++ "$root/usr/lib/llvm-22/bin/clang++"
  trap 'for folder in dev proc; do umount "$root/$folder" 2>/dev/null || true; done' EXIT
  for folder in proc dev; do
    mountpoint --quiet "$root/$folder" || mount --bind "/$folder" "$root/$folder"
  done
  chroot "$root" bash /src/in-root.sh
}

mkdir -p "$work"
[[ -e $root/made ]] || make_root
get_sources
compile
mkdir -p "${archive%/*}"
strip --strip-debug "$root/src/out/obj/librusty_v8.a" -o "$work/librusty_v8.a"
# No name and no time inside: the same sources give the same file.
gzip -9 --no-name <"$work/librusty_v8.a" >"$archive"
cd "${archive%/*}"
sha256sum ./*.gz | sed 's#\./##' | tee SHA256SUMS
