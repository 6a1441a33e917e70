//! The value of the `Date` field and its like (RFC 9110, 5.6.7), rendered and read without a calendar library.

/// A point in time in the form `Sun, 06 Nov 1994 08:49:37 GMT`, always 29 bytes.
///
/// Codecs have no clock: the driver renders one of these a second and hands it to [`Protocol::start`](super::Protocol::start).
///
/// ```
/// use wsgi_core::wire::HttpDate;
///
/// assert_eq!(HttpDate::from_unix(784_111_777).as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HttpDate {
    seconds: u64,
    text: [u8; 29],
}

impl HttpDate {
    /// Renders the time that is `seconds` after the Unix epoch; beyond the year 9999 it stays at that year's last second.
    pub fn from_unix(seconds: u64) -> HttpDate {
        let seconds = seconds.min(LAST_SECOND);
        let (days, time) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let mut text = *b"Thu, 00 Jan 0000 00:00:00 GMT";
        text[0..3].copy_from_slice(&WEEKDAYS[(days % 7) as usize]);
        two(&mut text[5..7], day);
        text[8..11].copy_from_slice(&MONTHS[month as usize - 1]);
        two(&mut text[12..14], year / 100);
        two(&mut text[14..16], year % 100);
        two(&mut text[17..19], time / 3600);
        two(&mut text[20..22], time / 60 % 60);
        two(&mut text[23..25], time % 60);
        HttpDate { seconds, text }
    }

    /// Reads a time in any of the three forms that HTTP has had. None if it is in none of them, names no day of the calendar, or lies before
    /// 1970. The name of the weekday is not compared with the date.
    ///
    /// The oldest form but one has years of two digits; up to 69 they are of this century.
    ///
    /// ```
    /// use wsgi_core::wire::HttpDate;
    ///
    /// for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
    ///     assert_eq!(HttpDate::parse(text.as_bytes()).unwrap().unix_seconds(), 784_111_777);
    /// }
    /// assert_eq!(HttpDate::parse(b"Sun, 31 Nov 1994 08:49:37 GMT"), None);
    /// ```
    pub fn parse(text: &[u8]) -> Option<HttpDate> {
        let text = std::str::from_utf8(text).ok()?;
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let (day, month, year, time) = match fields[..] {
            [weekday, day, month, year, time, "GMT"] if weekday.len() == 4 && weekday.ends_with(',') => {
                (number(day, 2)?, month, number(year, 4)?, time)
            }
            [weekday, date, time, "GMT"] if weekday.ends_with(',') => {
                let mut parts = date.split('-');
                let (day, month, year) = (number(parts.next()?, 2)?, parts.next()?, number(parts.next()?, 2)?);
                if parts.next().is_some() {
                    return None;
                }
                (day, month, if year < 70 { 2000 + year } else { 1900 + year }, time)
            }
            [_, month, day, time, year] => (number(day, day.len().min(2))?, month, number(year, 4)?, time),
            _ => return None,
        };
        let month = MONTHS.iter().position(|name| name == month.as_bytes())? as u64 + 1;
        let [hour, minute, second] = <[&str; 3]>::try_from(time.split(':').collect::<Vec<_>>()).ok()?;
        let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
        // 60 is a leap second.
        if hour > 23 || minute > 59 || second > 60 || year < 1970 {
            return None;
        }
        let days = days(year, month, day);
        // A day that the month does not have is one of another month.
        (civil(days) == (year, month, day)).then(|| HttpDate::from_unix(days * 86_400 + hour * 3600 + minute * 60 + second))
    }

    /// The second that this is the rendering of, so that a driver can tell when to render anew.
    pub fn unix_seconds(&self) -> u64 {
        self.seconds
    }

    /// The 29 bytes of the field value.
    pub fn as_bytes(&self) -> &[u8; 29] {
        &self.text
    }
}

impl std::fmt::Debug for HttpDate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

fn two(out: &mut [u8], number: u64) {
    out[0] = b'0' + (number / 10) as u8;
    out[1] = b'0' + (number % 10) as u8;
}

/// Year, month (1 to 12) and day of the month, from days since 1970-01-01, in the proleptic Gregorian calendar.
///
/// Counts in years that begin in March, so that the leap day is the last of its year and months have a regular pattern.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // days from 0000-03-01 to 1970-01-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Days since 1970-01-01 of a day in the calendar from that year on: the reverse of `civil`.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day;
    // One less for the first day of the month, which is 1; added to what lies before 1970, so that nothing goes below 0.
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_469
}

/// A number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<u64> {
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

const LAST_SECOND: u64 = 253_402_300_799; // 9999-12-31T23:59:59Z
const WEEKDAYS: [[u8; 3]; 7] = [*b"Thu", *b"Fri", *b"Sat", *b"Sun", *b"Mon", *b"Tue", *b"Wed"];
const MONTHS: [[u8; 3]; 12] = [*b"Jan", *b"Feb", *b"Mar", *b"Apr", *b"May", *b"Jun", *b"Jul", *b"Aug", *b"Sep", *b"Oct", *b"Nov", *b"Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_that_calendars_get_wrong() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(HttpDate::from_unix(seconds).as_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn what_is_rendered_is_read_again() {
        let mut seconds = 0;
        while seconds < LAST_SECOND {
            let date = HttpDate::from_unix(seconds);
            assert_eq!(HttpDate::parse(date.as_bytes()), Some(date));
            // Not a multiple of a day, an hour or a minute.
            seconds += 1_234_577;
        }
        assert_eq!(HttpDate::parse(HttpDate::from_unix(LAST_SECOND).as_bytes()).map(|date| date.seconds), Some(LAST_SECOND));
    }

    #[test]
    fn what_is_no_date_is_not_read() {
        for text in [
            "",
            "now",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Tue, 29 Feb 2100 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Wed, 31 Dec 1969 23:59:59 GMT",
            "Sun, 06 Nov 0000 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 06-Nov-94-1 08:49:37 GMT",
            "Sun Nov 6 08:49:37 94",
            "Sun, 06 Nov 1994 08:49:37 GMT\u{e9}",
        ] {
            assert_eq!(HttpDate::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(HttpDate::parse(b"\xff"), None);
        assert_eq!(
            HttpDate::parse(b"Monday, 06-Nov-37 08:49:37 GMT").map(|date| date.as_bytes()[12..16].to_owned()),
            Some(b"2037".to_vec())
        );
        assert_eq!(HttpDate::parse(b"Sat, 31 Dec 2016 23:59:60 GMT"), Some(HttpDate::from_unix(1_483_228_800)));
    }
}
