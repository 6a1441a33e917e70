//! What an application may know of the TLS that its client came by, in mod_ssl's words, so that programs that look at them need not be told of
//! another server.

use rustls::{CipherSuite, HandshakeKind, ProtocolVersion, ServerConnection};

/// Gives each variable of a connection whose handshake is done.
pub(crate) fn describe(tls: &ServerConnection, mut give: impl FnMut(&'static [u8], &str)) {
    if let Some(version) = tls.protocol_version() {
        give(b"SSL_PROTOCOL", protocol(version));
    }
    if let Some(suite) = tls.negotiated_cipher_suite() {
        give(b"SSL_CIPHER", cipher(suite.suite()));
    }
    if let Some(name) = tls.server_name() {
        give(b"SSL_TLS_SNI", name);
    }
    let resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
    give(b"SSL_SESSION_RESUMED", if resumed { "Resumed" } else { "Initial" });
}

/// The value of `SSL_PROTOCOL`.
fn protocol(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        other => other.as_str().unwrap_or("unknown"),
    }
}

/// The value of `SSL_CIPHER`: OpenSSL's name, which for TLS 1.3 is that of the standard.
fn cipher(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other.as_str().unwrap_or("unknown"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is spoken is a matter of the provider; a new cipher must not come without its name.
    #[test]
    fn every_cipher_that_is_spoken_has_its_name_of_openssl() {
        for suite in rustls::crypto::ring::default_provider().cipher_suites {
            let name = cipher(suite.suite());
            assert!(name.starts_with("TLS_") || name.starts_with("ECDHE-"), "{name}");
        }
    }
}
