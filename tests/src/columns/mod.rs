//! The front ends that the matrix runs through, a file each.

use crate::column::Column;

mod engine;

/// Every column.
pub const ALL: &[&dyn Column] = &[&engine::HTTP_OVER_TCP, &engine::HTTP_OVER_UNIX];
