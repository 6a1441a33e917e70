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
        match name.strip_prefix(b"HTTP_") {
            Some(field) => find(true, field).filter(|known| known.as_str().as_bytes() == name),
            None => find(false, name).filter(|known| known.as_str().as_bytes() == name),
        }
    }

    /// Finds the variable of an HTTP field by the field's name in any case (`accept-language`).
    ///
    /// `Content-Type` and `Content-Length` are `CONTENT_TYPE` and `CONTENT_LENGTH` (RFC 3875, 4.1.2 and 4.1.3); every other field is
    /// `HTTP_*`.
    pub fn from_field(name: &[u8]) -> Option<Known> {
        let same = |text: &str| text.len() == name.len() && text.bytes().zip(name).all(|(a, &b)| a == fold(b));
        let http = |known: Known| known.as_str().strip_prefix("HTTP_").is_some_and(same);
        find(true, name)
            .filter(|&known| http(known))
            .or_else(|| [Known::ContentType, Known::ContentLength].into_iter().find(|known| same(known.as_str())))
    }
}

/// The CGI form of one byte of a field name: upper case, `-` as `_` (RFC 3875, 4.1.18).
pub(super) const fn fold(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }
}

fn find(http: bool, name: &[u8]) -> Option<Known> {
    match SLOTS[slot(http, name)] {
        0 => None,
        index => Some(ALL[index as usize - 1].0),
    }
}

/// A hash without collisions among the known names; `SLOTS` is not built if there is one.
const fn slot(http: bool, name: &[u8]) -> usize {
    let len = name.len();
    if len == 0 {
        return SLOT_COUNT - 1;
    }
    let back = if len > 3 { 4 } else { 1 };
    let (first, middle, fourth_last, last) = (fold(name[0]), fold(name[len / 2]), fold(name[len - back]), fold(name[len - 1]));
    (len * MULTIPLIERS[0]
        + first as usize * MULTIPLIERS[1]
        + middle as usize * MULTIPLIERS[2]
        + fourth_last as usize * MULTIPLIERS[3]
        + last as usize * MULTIPLIERS[4]
        + http as usize)
        % SLOT_COUNT
}

const SLOT_COUNT: usize = 512;
const MULTIPLIERS: [usize; 5] = [203, 429, 174, 88, 133];

/// One more than the index into `ALL`; 0 where there is none.
static SLOTS: [u8; SLOT_COUNT] = {
    let mut slots = [0; SLOT_COUNT];
    let mut i = 0;
    while i < ALL.len() {
        assert!(ALL[i].0 as usize == i, "ALL follows the declaration");
        let at = match ALL[i].1.as_bytes() {
            [b'H', b'T', b'T', b'P', b'_', field @ ..] => slot(true, field),
            name => slot(false, name),
        };
        assert!(slots[at] == 0, "two known names share a slot: choose other multipliers");
        slots[at] = i as u8 + 1;
        i += 1;
    }
    slots
};

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
        for variable in ["path_info", "", "HTTP_", "HTTP_X", "HTTPS_"] {
            assert_eq!(Known::from_variable(variable.as_bytes()), None, "{variable}");
        }
    }
}
