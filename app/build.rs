//! Links `src/arenas.c`, which only glibc needs.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=src/arenas.c");
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        // Nothing names its function: the linker would leave it out.
        cc::Build::new().file("src/arenas.c").link_lib_modifier("+whole-archive").compile("arenas");
    }
}
