//! Compiles the door to ipsec-mb where the feature of that name is asked for.

fn main() {
    println!("cargo::rerun-if-changed=src/ipsec_mb/shim.c");
    #[cfg(feature = "ipsec-mb")]
    {
        cc::Build::new()
            .file("src/ipsec_mb/shim.c")
            .warnings_into_errors(true)
            .compile("weir_mb_shim");
        println!("cargo::rustc-link-lib=IPSec_MB");
    }
}
