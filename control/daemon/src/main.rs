//! The control process: owner of desired state, link to the data plane, server of the API and the page.
#![forbid(unsafe_code)]

fn main() {}
