//! What the codec costs by itself.

fn main() {}
