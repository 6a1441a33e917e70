//! The variable names that nearly every request carries, so that they need neither text nor hashing per request.

/// A CGI variable whose name is known at compile time.
///
/// The Python side keeps one interned `str` for each, and [`RequestHead`](super::RequestHead) finds them without comparing text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[non_exhaustive]
pub enum Known {
    /// `REQUEST_METHOD`
    RequestMethod,
    /// `SCRIPT_NAME`
    ScriptName,
    /// `PATH_INFO`
    PathInfo,
    /// `QUERY_STRING`
    QueryString,
    /// `CONTENT_TYPE`
    ContentType,
    /// `CONTENT_LENGTH`
    ContentLength,
    /// `SERVER_NAME`
    ServerName,
    /// `SERVER_PORT`
    ServerPort,
    /// `SERVER_PROTOCOL`
    ServerProtocol,
    /// `SERVER_SOFTWARE`
    ServerSoftware,
    /// `SERVER_ADDR`
    ServerAddr,
    /// `GATEWAY_INTERFACE`
    GatewayInterface,
    /// `REMOTE_ADDR`
    RemoteAddr,
    /// `REMOTE_PORT`
    RemotePort,
    /// `REMOTE_HOST`
    RemoteHost,
    /// `REMOTE_USER`
    RemoteUser,
    /// `AUTH_TYPE`
    AuthType,
    /// `PATH_TRANSLATED`
    PathTranslated,
    /// `REQUEST_URI`
    RequestUri,
    /// `RAW_URI`
    RawUri,
    /// `REQUEST_SCHEME`
    RequestScheme,
    /// `HTTPS`
    Https,
    /// `DOCUMENT_ROOT`
    DocumentRoot,
    /// `DOCUMENT_URI`
    DocumentUri,
    /// `HTTP_HOST`
    HttpHost,
    /// `HTTP_USER_AGENT`
    HttpUserAgent,
    /// `HTTP_ACCEPT`
    HttpAccept,
    /// `HTTP_ACCEPT_LANGUAGE`
    HttpAcceptLanguage,
    /// `HTTP_ACCEPT_ENCODING`
    HttpAcceptEncoding,
    /// `HTTP_ACCEPT_CHARSET`
    HttpAcceptCharset,
    /// `HTTP_AUTHORIZATION`
    HttpAuthorization,
    /// `HTTP_CACHE_CONTROL`
    HttpCacheControl,
    /// `HTTP_CONNECTION`
    HttpConnection,
    /// `HTTP_COOKIE`
    HttpCookie,
    /// `HTTP_DNT`
    HttpDnt,
    /// `HTTP_EXPECT`
    HttpExpect,
    /// `HTTP_FORWARDED`
    HttpForwarded,
    /// `HTTP_IF_MATCH`
    HttpIfMatch,
    /// `HTTP_IF_MODIFIED_SINCE`
    HttpIfModifiedSince,
    /// `HTTP_IF_NONE_MATCH`
    HttpIfNoneMatch,
    /// `HTTP_IF_RANGE`
    HttpIfRange,
    /// `HTTP_IF_UNMODIFIED_SINCE`
    HttpIfUnmodifiedSince,
    /// `HTTP_KEEP_ALIVE`
    HttpKeepAlive,
    /// `HTTP_ORIGIN`
    HttpOrigin,
    /// `HTTP_PRAGMA`
    HttpPragma,
    /// `HTTP_PRIORITY`
    HttpPriority,
    /// `HTTP_RANGE`
    HttpRange,
    /// `HTTP_REFERER`
    HttpReferer,
    /// `HTTP_SEC_CH_UA`
    HttpSecChUa,
    /// `HTTP_SEC_CH_UA_MOBILE`
    HttpSecChUaMobile,
    /// `HTTP_SEC_CH_UA_PLATFORM`
    HttpSecChUaPlatform,
    /// `HTTP_SEC_FETCH_DEST`
    HttpSecFetchDest,
    /// `HTTP_SEC_FETCH_MODE`
    HttpSecFetchMode,
    /// `HTTP_SEC_FETCH_SITE`
    HttpSecFetchSite,
    /// `HTTP_SEC_FETCH_USER`
    HttpSecFetchUser,
    /// `HTTP_TE`
    HttpTe,
    /// `HTTP_TRANSFER_ENCODING`
    HttpTransferEncoding,
    /// `HTTP_UPGRADE`
    HttpUpgrade,
    /// `HTTP_UPGRADE_INSECURE_REQUESTS`
    HttpUpgradeInsecureRequests,
    /// `HTTP_VIA`
    HttpVia,
    /// `HTTP_X_CSRFTOKEN`
    HttpXCsrftoken,
    /// `HTTP_X_FORWARDED_FOR`
    HttpXForwardedFor,
    /// `HTTP_X_FORWARDED_HOST`
    HttpXForwardedHost,
    /// `HTTP_X_FORWARDED_PORT`
    HttpXForwardedPort,
    /// `HTTP_X_FORWARDED_PROTO`
    HttpXForwardedProto,
    /// `HTTP_X_REAL_IP`
    HttpXRealIp,
    /// `HTTP_X_REQUEST_ID`
    HttpXRequestId,
    /// `HTTP_X_REQUESTED_WITH`
    HttpXRequestedWith,
}

/// Every known name with its variant, in declaration order: `ALL[k as usize].0 == k`.
const ALL: &[(Known, &str)] = &[
    (Known::RequestMethod, "REQUEST_METHOD"),
    (Known::ScriptName, "SCRIPT_NAME"),
    (Known::PathInfo, "PATH_INFO"),
    (Known::QueryString, "QUERY_STRING"),
    (Known::ContentType, "CONTENT_TYPE"),
    (Known::ContentLength, "CONTENT_LENGTH"),
    (Known::ServerName, "SERVER_NAME"),
    (Known::ServerPort, "SERVER_PORT"),
    (Known::ServerProtocol, "SERVER_PROTOCOL"),
    (Known::ServerSoftware, "SERVER_SOFTWARE"),
    (Known::ServerAddr, "SERVER_ADDR"),
    (Known::GatewayInterface, "GATEWAY_INTERFACE"),
    (Known::RemoteAddr, "REMOTE_ADDR"),
    (Known::RemotePort, "REMOTE_PORT"),
    (Known::RemoteHost, "REMOTE_HOST"),
    (Known::RemoteUser, "REMOTE_USER"),
    (Known::AuthType, "AUTH_TYPE"),
    (Known::PathTranslated, "PATH_TRANSLATED"),
    (Known::RequestUri, "REQUEST_URI"),
    (Known::RawUri, "RAW_URI"),
    (Known::RequestScheme, "REQUEST_SCHEME"),
    (Known::Https, "HTTPS"),
    (Known::DocumentRoot, "DOCUMENT_ROOT"),
    (Known::DocumentUri, "DOCUMENT_URI"),
    (Known::HttpHost, "HTTP_HOST"),
    (Known::HttpUserAgent, "HTTP_USER_AGENT"),
    (Known::HttpAccept, "HTTP_ACCEPT"),
    (Known::HttpAcceptLanguage, "HTTP_ACCEPT_LANGUAGE"),
    (Known::HttpAcceptEncoding, "HTTP_ACCEPT_ENCODING"),
    (Known::HttpAcceptCharset, "HTTP_ACCEPT_CHARSET"),
    (Known::HttpAuthorization, "HTTP_AUTHORIZATION"),
    (Known::HttpCacheControl, "HTTP_CACHE_CONTROL"),
    (Known::HttpConnection, "HTTP_CONNECTION"),
    (Known::HttpCookie, "HTTP_COOKIE"),
    (Known::HttpDnt, "HTTP_DNT"),
    (Known::HttpExpect, "HTTP_EXPECT"),
    (Known::HttpForwarded, "HTTP_FORWARDED"),
    (Known::HttpIfMatch, "HTTP_IF_MATCH"),
    (Known::HttpIfModifiedSince, "HTTP_IF_MODIFIED_SINCE"),
    (Known::HttpIfNoneMatch, "HTTP_IF_NONE_MATCH"),
    (Known::HttpIfRange, "HTTP_IF_RANGE"),
    (Known::HttpIfUnmodifiedSince, "HTTP_IF_UNMODIFIED_SINCE"),
    (Known::HttpKeepAlive, "HTTP_KEEP_ALIVE"),
    (Known::HttpOrigin, "HTTP_ORIGIN"),
    (Known::HttpPragma, "HTTP_PRAGMA"),
    (Known::HttpPriority, "HTTP_PRIORITY"),
    (Known::HttpRange, "HTTP_RANGE"),
    (Known::HttpReferer, "HTTP_REFERER"),
    (Known::HttpSecChUa, "HTTP_SEC_CH_UA"),
    (Known::HttpSecChUaMobile, "HTTP_SEC_CH_UA_MOBILE"),
    (Known::HttpSecChUaPlatform, "HTTP_SEC_CH_UA_PLATFORM"),
    (Known::HttpSecFetchDest, "HTTP_SEC_FETCH_DEST"),
    (Known::HttpSecFetchMode, "HTTP_SEC_FETCH_MODE"),
    (Known::HttpSecFetchSite, "HTTP_SEC_FETCH_SITE"),
    (Known::HttpSecFetchUser, "HTTP_SEC_FETCH_USER"),
    (Known::HttpTe, "HTTP_TE"),
    (Known::HttpTransferEncoding, "HTTP_TRANSFER_ENCODING"),
    (Known::HttpUpgrade, "HTTP_UPGRADE"),
    (Known::HttpUpgradeInsecureRequests, "HTTP_UPGRADE_INSECURE_REQUESTS"),
    (Known::HttpVia, "HTTP_VIA"),
    (Known::HttpXCsrftoken, "HTTP_X_CSRFTOKEN"),
    (Known::HttpXForwardedFor, "HTTP_X_FORWARDED_FOR"),
    (Known::HttpXForwardedHost, "HTTP_X_FORWARDED_HOST"),
    (Known::HttpXForwardedPort, "HTTP_X_FORWARDED_PORT"),
    (Known::HttpXForwardedProto, "HTTP_X_FORWARDED_PROTO"),
    (Known::HttpXRealIp, "HTTP_X_REAL_IP"),
    (Known::HttpXRequestId, "HTTP_X_REQUEST_ID"),
    (Known::HttpXRequestedWith, "HTTP_X_REQUESTED_WITH"),
];

impl Known {
    /// How many names are known.
    pub const COUNT: usize = ALL.len();

    /// Every known name, in declaration order: `Known::all().nth(k as usize) == Some(k)`.
    pub fn all() -> impl Iterator<Item = Known> {
        ALL.iter().map(|&(known, _)| known)
    }

    /// The CGI spelling, such as `PATH_INFO` or `HTTP_USER_AGENT`.
    pub const fn as_str(self) -> &'static str {
        ALL[self as usize].1
    }

    /// Finds a CGI variable by its exact name (`HTTP_ACCEPT`, `PATH_INFO`).
    pub fn from_variable(name: &[u8]) -> Option<Known> {
        let known = ALL[VARIABLE_SLOTS[slot(name)].checked_sub(1)? as usize].0;
        (known.as_str().as_bytes() == name).then_some(known)
    }

    /// Finds the variable of an HTTP field by the field's name in any case (`accept-language`).
    ///
    /// `Content-Type` and `Content-Length` are `CONTENT_TYPE` and `CONTENT_LENGTH` (RFC 3875, 4.1.2 and 4.1.3); every other field is
    /// `HTTP_*`. A name with `_` for `-` is not found.
    pub fn from_field(name: &[u8]) -> Option<Known> {
        let known = ALL[FIELD_SLOTS[slot(name)].checked_sub(1)? as usize].0;
        is_field(FIELDS[known as usize], name).then_some(known)
    }
}

/// The CGI form of one byte of a field name: upper case, `-` as `_` (RFC 3875, 4.1.18).
pub(super) const fn fold(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }
}

/// Whether `name` is `field`, which is in lower case: eight bytes at a time, for this runs for every field of every request.
fn is_field(field: &[u8], name: &[u8]) -> bool {
    if field.len() != name.len() {
        return false;
    }
    let (Some(name_end), Some(field_end)) = (name.last_chunk::<8>(), field.last_chunk::<8>()) else {
        return name.iter().zip(field).fold(true, |same, (&a, &b)| same & (a | 0x20 == b) & (a >= 0x20));
    };
    let same = |a: [u8; 8], b: [u8; 8]| {
        let a = u64::from_ne_bytes(a);
        // In lower case; and no byte below 0x20, which that would make another: each has bit 5 or 6.
        (a | LOWER == u64::from_ne_bytes(b)) & ((a << 1 | a) & LOWER << 1 == LOWER << 1)
    };
    let whole = name.chunks_exact(8).zip(field.chunks_exact(8)).all(|(a, b)| match (a.try_into(), b.try_into()) {
        (Ok(a), Ok(b)) => same(a, b),
        _ => false,
    });
    // The last eight overlap those before, unless there are none left over.
    whole & same(*name_end, *field_end)
}

/// A hash of a name in any case, from its ends and its length. Without collisions among the known names, or the tables are not built.
const fn slot(name: &[u8]) -> usize {
    let (first, last) = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(first), Some(last)) => (u32::from_le_bytes(*first), u32::from_le_bytes(*last)),
        _ => match name {
            [] => (0, 0),
            [only] => (*only as u32, *only as u32),
            [first, .., last] => (*first as u32, *last as u32),
        },
    };
    let lower = LOWER as u32;
    let mixed =
        ((first | lower) ^ name.len() as u32).wrapping_mul(MULTIPLIERS[0]).wrapping_add((last | lower).wrapping_mul(MULTIPLIERS[1]));
    (mixed >> (u32::BITS - SLOT_COUNT.ilog2())) as usize
}

/// The bit that tells lower case from upper, in each byte of a word. `-` and digits have it as well.
const LOWER: u64 = 0x2020_2020_2020_2020;
const SLOT_COUNT: usize = 512;
/// Found by trying.
const MULTIPLIERS: [u32; 2] = [0x991b_a3cf, 0x7e5d_933d];

/// For each hash of a variable's name, one more than the index into `ALL`; 0 where there is none.
static VARIABLE_SLOTS: [u8; SLOT_COUNT] = {
    let mut slots = [0; SLOT_COUNT];
    let mut i = 0;
    while i < ALL.len() {
        assert!(ALL[i].0 as usize == i, "ALL follows the declaration");
        let at = slot(ALL[i].1.as_bytes());
        assert!(slots[at] == 0, "two known variables share a slot: choose other multipliers");
        slots[at] = i as u8 + 1;
        i += 1;
    }
    slots
};

/// The same for the names of fields.
static FIELD_SLOTS: [u8; SLOT_COUNT] = {
    let mut slots = [0; SLOT_COUNT];
    let mut i = 0;
    while i < ALL.len() {
        if !FIELDS[i].is_empty() {
            let at = slot(FIELDS[i]);
            assert!(slots[at] == 0, "two known fields share a slot: choose other multipliers");
            slots[at] = i as u8 + 1;
        }
        i += 1;
    }
    slots
};

/// The name of the field that each known variable comes from, in lower case; empty where it comes from none.
static FIELDS: [&[u8]; ALL.len()] = {
    let mut fields: [&[u8]; ALL.len()] = [b""; ALL.len()];
    let mut i = 0;
    while i < ALL.len() {
        fields[i] = FIELD_TEXT[i].split_at(field_of(i).len()).0;
        i += 1;
    }
    fields
};

static FIELD_TEXT: [[u8; 32]; ALL.len()] = {
    let mut text = [[0; 32]; ALL.len()];
    let mut i = 0;
    while i < ALL.len() {
        let field = field_of(i);
        let mut at = 0;
        while at < field.len() {
            text[i][at] = if field[at] == b'_' { b'-' } else { field[at].to_ascii_lowercase() };
            at += 1;
        }
        i += 1;
    }
    text
};

/// The part of a variable's name that comes from a field's.
const fn field_of(index: usize) -> &'static [u8] {
    match (ALL[index].0, ALL[index].1.as_bytes()) {
        (_, [b'H', b'T', b'T', b'P', b'_', field @ ..]) => field,
        (Known::ContentType | Known::ContentLength, name) => name,
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_by_its_variable_and_by_its_field() {
        for known in Known::all() {
            let variable = known.as_str();
            assert_eq!(Known::from_variable(variable.as_bytes()), Some(known));
            if let Some(field) = variable.strip_prefix("HTTP_") {
                let field = field.replace('_', "-");
                assert_eq!(Known::from_field(field.as_bytes()), Some(known));
                assert_eq!(Known::from_field(field.to_lowercase().as_bytes()), Some(known));
            }
        }
        assert_eq!(Known::from_field(b"content-length"), Some(Known::ContentLength));
        assert_eq!(Known::from_field(b"Content-Type"), Some(Known::ContentType));
    }

    #[test]
    fn a_field_never_reaches_a_variable_that_the_server_owns() {
        for field in ["Path-Info", "Remote-User", "Server-Name", "Https", "", "X"] {
            assert_eq!(Known::from_field(field.as_bytes()), None, "{field}");
        }
        // Each byte of a name in turn, replaced by every other.
        for known in Known::all() {
            let Some(field) = known.as_str().strip_prefix("HTTP_").map(|field| field.replace('_', "-")) else { continue };
            for at in 0..field.len() {
                for byte in 0..=255 {
                    let mut name = field.clone().into_bytes();
                    name[at] = byte;
                    let same = byte.eq_ignore_ascii_case(&field.as_bytes()[at]);
                    assert_eq!(Known::from_field(&name) == Some(known), same, "{}", name.escape_ascii());
                }
            }
        }
        for variable in ["path_info", "", "HTTP_", "HTTP_X", "HTTPS_"] {
            assert_eq!(Known::from_variable(variable.as_bytes()), None, "{variable}");
        }
    }
}
