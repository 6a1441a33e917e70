//! The cookies that a client keeps (RFC 6265).

use std::time::{Duration, SystemTime};

/// A cookie, as the application has set it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value, as it was sent: quotes and escapes are the application's affair.
    pub value: String,
    /// The host that it belongs to; `None` for one that the test has set, which goes to every host.
    pub host: Option<String>,
    /// Whether hosts below that get it too (`Domain` was given).
    pub subdomains: bool,
    /// The path that it belongs to, and everything below.
    pub path: String,
    /// Whether only `https` requests carry it.
    pub secure: bool,
    /// When it goes; `None` for one that lasts as long as the client.
    pub expires: Option<SystemTime>,
}

/// All cookies of a client, the longest path first, then the oldest: the order in which they are sent (RFC 6265, 5.4).
#[derive(Debug, Default)]
pub(super) struct Jar {
    cookies: Vec<Cookie>,
}

impl Jar {
    pub(super) fn all(&mut self) -> Vec<Cookie> {
        self.expire();
        self.cookies.clone()
    }

    pub(super) fn clear(&mut self) {
        self.cookies.clear();
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.put(Cookie { name, value, host: None, subdomains: true, path: "/".to_owned(), secure: false, expires: None });
    }

    fn put(&mut self, cookie: Cookie) {
        let same = |other: &&mut Cookie| (&other.name, &other.host, &other.path) == (&cookie.name, &cookie.host, &cookie.path);
        if let Some(old) = self.cookies.iter_mut().find(same) {
            *old = cookie;
            return;
        }
        let at = self.cookies.partition_point(|other| other.path.len() >= cookie.path.len());
        self.cookies.insert(at, cookie);
    }

    /// Takes a `Set-Cookie` in answer to a request for `path` of `host`, as in RFC 6265, 5.2 and 5.3.
    pub(super) fn receive(&mut self, line: &str, host: &str, path: &str) {
        let mut parts = line.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return;
        }
        let mut cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            host: Some(host.to_ascii_lowercase()),
            subdomains: false,
            path: default_path(path).to_owned(),
            secure: false,
            expires: None,
        };
        let (mut max_age, mut expires) = (None, None);
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "path" => default_path(path).clone_into(&mut cookie.path),
                "domain" if !value.trim_start_matches('.').is_empty() => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    if !belongs(host, &domain) {
                        // Set for somebody else: a browser drops it.
                        return;
                    }
                    (cookie.host, cookie.subdomains) = (Some(domain), true);
                }
                "secure" => cookie.secure = true,
                "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
                "expires" => expires = date(value).or(expires),
                _ => {}
            }
        }
        let now = SystemTime::now();
        cookie.expires = match max_age {
            Some(seconds @ 1..) => now.checked_add(Duration::from_secs(seconds.unsigned_abs())),
            Some(_) => Some(SystemTime::UNIX_EPOCH),
            None => expires,
        };
        self.put(cookie);
        self.expire();
    }

    fn expire(&mut self) {
        let now = SystemTime::now();
        self.cookies.retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
    }

    /// The value of `Cookie` for a request; `None` if it carries none.
    pub(super) fn send(&mut self, secure: bool, host: &str, path: &str) -> Option<String> {
        if self.cookies.is_empty() {
            return None;
        }
        self.expire();
        let wanted = self.cookies.iter().filter(|cookie| {
            let host_fits = match &cookie.host {
                None => true,
                Some(owner) if cookie.subdomains => belongs(host, owner),
                Some(owner) => host.eq_ignore_ascii_case(owner),
            };
            host_fits && (secure || !cookie.secure) && path_fits(path, &cookie.path)
        });
        let pairs: Vec<String> = wanted.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

/// RFC 6265, 5.1.3.
fn belongs(host: &str, domain: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let is_address = host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[');
    host == domain || !is_address && host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// RFC 6265, 5.1.4.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(at @ 1..) if path.starts_with('/') => &path[..at],
        _ => "/",
    }
}

/// RFC 6265, 5.1.4.
fn path_fits(path: &str, owner: &str) -> bool {
    path.strip_prefix(owner).is_some_and(|rest| rest.is_empty() || owner.ends_with('/') || rest.starts_with('/'))
}

/// A date in any of the forms that RFC 6265, 5.1.1 understands.
fn date(text: &str) -> Option<SystemTime> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    let delimiter = |c: char| !(c.is_ascii_alphanumeric() || c == ':');
    for token in text.split(delimiter).filter(|token| !token.is_empty()) {
        let number = || token.parse::<u64>().ok();
        if time.is_none() && token.contains(':') {
            let parts: Vec<u64> = token.split(':').map_while(|part| part.parse().ok()).collect();
            let [hour @ 0..=23, minute @ 0..=59, second @ 0..=60] = parts[..] else { return None };
            time = Some(hour * 3600 + minute * 60 + second);
        } else if day.is_none() && token.len() <= 2 && number().is_some() {
            day = number().filter(|day| (1..=31).contains(day));
        } else if month.is_none() && MONTHS.iter().any(|name| starts_with(token, name)) {
            month = MONTHS.iter().position(|name| starts_with(token, name));
        } else if year.is_none() && matches!(token.len(), 2 | 4) {
            year = number().map(|year| match year {
                0..=69 => year + 2000,
                70..=99 => year + 1900,
                _ => year,
            });
        }
    }
    let (time, day, month, year) = (time?, day?, month? as u64, year?);
    // Days since 1970, by years that begin in March.
    let shifted = if month < 2 { year.checked_sub(1)? } else { year };
    let day_of_year = (153 * ((month + 10) % 12) + 2) / 5 + day - 1;
    let days = (shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year).checked_sub(719_468);
    // Before 1970 is past, however long.
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(days.map_or(0, |days| days * 86_400 + time)))
}

fn starts_with(token: &str, name: &str) -> bool {
    token.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(lines: &[&str]) -> Jar {
        let mut jar = Jar::default();
        for line in lines {
            jar.receive(line, "shop.example.org", "/a/b");
        }
        jar
    }

    #[test]
    fn a_cookie_goes_to_its_path_and_below() {
        let mut jar = jar(&["default=1", "root=2; Path=/", "deep=3; path=/a/b/c", "odd=4; Path=relative"]);
        let sent = |jar: &mut Jar, path| jar.send(false, "shop.example.org", path).unwrap_or_default();
        assert_eq!(sent(&mut jar, "/a/b/c/d"), "deep=3; default=1; odd=4; root=2");
        assert_eq!(sent(&mut jar, "/a"), "default=1; odd=4; root=2");
        assert_eq!(sent(&mut jar, "/ab"), "root=2");
    }

    #[test]
    fn a_cookie_goes_to_its_host_and_with_a_domain_below_it() {
        let mut jar =
            jar(&["own=1; Path=/", "all=2; Domain=.Example.org; Path=/", "other=3; Domain=example.com", "part=4; Domain=ample.org"]);
        let mut sent = |host| jar.send(false, host, "/").unwrap_or_default();
        assert_eq!(sent("shop.example.org"), "own=1; all=2");
        assert_eq!(sent("EXAMPLE.org"), "all=2");
        assert_eq!(sent("www.shop.example.org"), "all=2");
        assert_eq!(sent("example.com"), "");
    }

    #[test]
    fn a_secure_cookie_goes_over_https_only() {
        let mut jar = jar(&["s=1; Secure; HttpOnly; SameSite=Lax; Path=/"]);
        assert_eq!(jar.send(false, "shop.example.org", "/"), None);
        assert_eq!(jar.send(true, "shop.example.org", "/").as_deref(), Some("s=1"));
    }

    #[test]
    fn a_cookie_is_replaced_and_deleted_by_age_or_date() {
        let mut jar = jar(&["a=1; Path=/", "b=1; Path=/", "c=1; Path=/", "d=1; Path=/", "a=2; Path=/"]);
        jar.receive("b=; Max-Age=0; Path=/", "shop.example.org", "/");
        jar.receive("c=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/", "shop.example.org", "/");
        jar.receive("d=2; Expires=Thu, 01-Jan-70 00:00:00 GMT; Max-Age=60; Path=/", "shop.example.org", "/");
        assert_eq!(jar.send(false, "shop.example.org", "/").as_deref(), Some("a=2; d=2"));
    }

    #[test]
    fn what_is_no_cookie_is_left() {
        assert_eq!(jar(&["", "word", "=value", " ; Path=/"]).cookies, []);
        assert_eq!(jar(&["a=b=\"c d\""]).cookies[0].value, "b=\"c d\"");
    }

    #[test]
    fn dates_are_understood_in_all_their_forms() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            let seconds = date(text).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            assert_eq!(seconds, 784_111_777, "{text}");
        }
        let leap = date("Thu, 29 Feb 2024 00:00:00 GMT").unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(leap, 1_709_164_800);
        assert_eq!(date("Fri, 01 Jan 1960 00:00:00 GMT"), Some(SystemTime::UNIX_EPOCH));
        for text in ["", "tomorrow", "06 Nov 1994", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 32 Nov 1994 08:49:37 GMT"] {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
