#!/bin/sh
# Stands in for rustc and makes pgrx_pg_sys use the bindings it ships for docs.rs instead of generating them from server headers.
# Invariant: no other crate sees the flag. Called by cargo as RUSTC_WRAPPER, set by `tools/build.py typecheck`.
case " $* " in
  *" --crate-name pgrx_pg_sys "*) exec "$@" --cfg docsrs ;;
  *) exec "$@" ;;
esac
