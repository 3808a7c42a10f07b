//! Has the page embedded anew when it was built anew, of which cargo knows nothing otherwise.

fn main() {
    println!("cargo::rerun-if-changed=../../web/dist");
}
