//! Compiles the BPF programs with clang and writes their Rust skeletons into cargo's output folder.

use libbpf_cargo::SkeletonBuilder;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Each `src/NAME.bpf.c` becomes `NAME.skel.rs`.
const PROGRAMS: [&str; 2] = ["arrival", "reuseport"];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for program in PROGRAMS {
        let source = format!("src/{program}.bpf.c");
        println!("cargo:rerun-if-changed={source}");
        if let Err(error) = SkeletonBuilder::new()
            .source(&source)
            .clang_args(multiarch_includes())
            .build_and_generate(out.join(format!("{program}.skel.rs")))
        {
            panic!(
                "{source}: {error:#} (clang with the BPF target and the kernel's headers are needed: Debian's clang, linux-libc-dev)"
            );
        }
    }
}

/// Debian keeps the kernel's `asm/` headers in the folder of the machine's triple, which clang leaves out when it
/// compiles for the BPF target.
fn multiarch_includes() -> Vec<OsString> {
    let folder = Path::new("/usr/include").join(format!("{}-linux-gnu", env::consts::ARCH));
    if folder.is_dir() {
        vec![OsString::from("-I"), folder.into_os_string()]
    } else {
        Vec::new()
    }
}
