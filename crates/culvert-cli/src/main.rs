//! The Culvert command line.

fn main() {}
