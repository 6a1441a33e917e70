//! Points in time as log lines write them, in the time zone of the process. Rendered once a second on each thread.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::CStr;
use std::mem::MaybeUninit;

use super::escape::Escape;

/// `Sat Nov 21 09:45:58 2026`.
pub(super) const CTIME: &CStr = c"%a %b %e %H:%M:%S %Y";
/// `21/Nov/2026:09:45:58 +0000`.
pub(super) const APACHE: &CStr = c"%d/%b/%Y:%H:%M:%S %z";
/// `Nov 21 09:45:58` (RFC 3164, 4.1.2).
pub(super) const SYSLOG: &CStr = c"%b %e %H:%M:%S";

/// Appends the local time that is `seconds` after the Unix epoch, in a form of `strftime`. A form may hold anything.
pub(super) fn write(seconds: i64, form: &'static CStr, escape: Escape, out: &mut Vec<u8>) {
    thread_local! {
        static LAST: RefCell<Vec<(&'static CStr, i64, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
    }
    LAST.with_borrow_mut(|last| {
        let at = last.iter().position(|(other, ..)| std::ptr::eq(*other, form)).unwrap_or_else(|| {
            last.push((form, seconds, render(seconds, form)));
            last.len() - 1
        });
        let (_, rendered, text) = &mut last[at];
        if *rendered != seconds {
            (*rendered, *text) = (seconds, render(seconds, form));
        }
        escape.write(text, out);
    });
}

/// Appends the time in UTC, as RFC 3339 has it: `2026-11-21T09:45:58.123Z`.
pub(super) fn write_rfc3339(seconds: i64, millis: u32, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let mut broken_down = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are to what the function expects, and the time is initialised whenever it is returned.
    let time = unsafe {
        if libc::gmtime_r(&seconds, broken_down.as_mut_ptr()).is_null() {
            return out.push(b'-');
        }
        broken_down.assume_init()
    };
    let (year, month) = (time.tm_year + 1900, time.tm_mon + 1);
    // Into a vector, which takes everything.
    let _ = write!(out, "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}.{millis:03}Z", time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec);
}

fn render(seconds: i64, form: &CStr) -> Vec<u8> {
    let mut broken_down = MaybeUninit::<libc::tm>::uninit();
    let mut text = vec![0; 256];
    // SAFETY: the pointers are to what the functions expect, the room is as long as is said, and the time is initialised whenever it is
    // returned.
    let length = unsafe {
        if libc::localtime_r(&seconds, broken_down.as_mut_ptr()).is_null() {
            return b"-".to_vec();
        }
        libc::strftime(text.as_mut_ptr().cast(), text.len(), form.as_ptr(), broken_down.as_ptr())
    };
    text.truncate(length);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rendered_in_each_form_and_anew_when_the_second_changes() {
        let shown = |seconds, form| {
            let mut out = Vec::new();
            write(seconds, form, Escape::Text, &mut out);
            String::from_utf8(out).unwrap()
        };
        for seconds in [784_111_777, 784_111_778, 784_111_777] {
            let (ctime, apache) = (shown(seconds, CTIME), shown(seconds, APACHE));
            // Some hours off Greenwich, wherever this runs.
            let second = format!(":{:02} ", seconds % 60);
            assert!(ctime.contains("Nov") && ctime.ends_with("1994") && ctime.contains(&second), "{ctime}");
            assert!(apache.contains("/Nov/1994:") && apache.contains(&second), "{apache}");
        }
        let mut out = Vec::new();
        write_rfc3339(784_111_777, 7, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "1994-11-06T08:49:37.007Z");
    }
}
