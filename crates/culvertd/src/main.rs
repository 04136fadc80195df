//! The Culvert daemon.

fn main() {}
