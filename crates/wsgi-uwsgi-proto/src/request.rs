//! What uwsgi and SCGI have in common before a request is complete, and the client side with them.

use wsgi_core::wire::{Limits, Paths, RequestHead};

/// What every connection of a listener has in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) paths: Paths,
}

/// Puts a variable of the request into its head, unless it is one that must not be there.
///
/// `UWSGI_*` would tell uWSGI which file to run, which directory to change to or what to put into its environment. Nothing here obeys such
/// variables, nor is anything behind it to see them.
#[inline]
pub(crate) fn take_variable(name: &[u8], value: &[u8], head: &mut RequestHead) {
    // Letter by letter: a string would be a call for each variable.
    if !matches!(name, [b'U', b'W', b'S', b'G', b'I', b'_', ..]) {
        head.variable(name, value);
    }
}

/// As much of a peer's text as an error quotes.
pub(crate) fn shown(text: &[u8]) -> &[u8] {
    &text[..text.len().min(SHOWN_BYTES)]
}

const SHOWN_BYTES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_command_a_server_are_left_out() {
        let mut head = RequestHead::default();
        for name in ["UWSGI_FILE", "UWSGI_", "UWSGIX", "HTTP_UWSGI_FILE"] {
            take_variable(name.as_bytes(), b"x", &mut head);
        }
        let names: Vec<_> = head.iter().map(|(name, _)| name.as_bytes().to_vec()).collect();
        assert_eq!(names, [&b"UWSGIX"[..], b"HTTP_UWSGI_FILE"]);
    }
}
