#!/bin/bash
# Compiles V8; rebuild.sh runs this inside of the root that it has made.
set -euo pipefail
cd /src/v8crate

# As the crate's own release build with simdutf: its libc++, no sandbox, no pointer compression, no V8 checks. Two things
# differ: no debug symbols, and no Temporal, whose Rust half needs chromium's own Rust toolchain.
gn --root=/src/v8crate --script-executable=python3 gen /src/out --args='
  is_debug=false symbol_level=0 v8_symbol_level=0 line_tables_only=false treat_warnings_as_errors=false
  use_custom_libcxx=true clang_base_path="/usr/lib/llvm-22" clang_version="22" is_cfi=false use_glib=false
  use_sysroot=false sysroot="/sysroot" enable_rust=false enable_rust_cxx=false v8_enable_temporal_support=false
  v8_enable_sandbox=false v8_enable_pointer_compression=false v8_enable_v8_checks=false
  rusty_v8_enable_simdutf=true v8_monolithic_for_shared_library=true'
cd /src/out

# Flags that only chromium's clang knows, and the hardening that stands on them.
strangers='-fdiagnostics-show-inlining-chain|-fno-lifetime-dse|-fsanitize-ignore-for-ubsan-feature=[a-z-]+'
hardening='-fsanitize(-trap)?=(array-bounds|return)|-ftrivial-auto-var-init=pattern'
grep --recursive --files-with-matches --extended-regexp --include='*.ninja' -e "$strangers" . |
  xargs sed --in-place --regexp-extended "s/$strangers|$hardening//g"

# The headers to be precompiled include generated ones; one file of each group has these made.
ninja obj/v8/v8_base_without_compiler/api.o obj/v8/v8_compiler/pipeline.o

# precompile HEADER SOURCE: with the flags that the source is compiled with.
precompile() {
  local command
  command=$(ninja -t commands rusty_v8 | grep -E " -c [^ ]*$2 -o" |
    sed -E 's# -o [^ ]+##; s#-MF [^ ]+##; s#-MD##; s# -c [^ ]+##; s#-fmodule-name="[^"]*"##')
  bash -c "$command -w -x c++-header /src/$1.h -o /src/$1.pch"
}
precompile base src/api/api.cc
precompile compiler src/compiler/pipeline.cc
ninja rusty_v8
