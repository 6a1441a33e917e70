//! Options that are to be honoured and are not built. Whoever builds one takes its name out of here and puts an entry into `options/`.

use super::Row;

pub(super) static ROWS: &[Row] = &[];
