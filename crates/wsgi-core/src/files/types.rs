//! What kind of thing a file is, by the end of its name.

/// The type of a file with this name, without parameters. Names of a kind that is not in the table are of bytes.
pub(super) fn of<'a>(name: &[u8], added: &'a [(String, String)]) -> &'a str {
    let Some(extension) = extension(name) else { return UNKNOWN };
    // The last of several that were added counts.
    if let Some((_, kind)) = added.iter().rev().find(|(other, _)| *other == extension) {
        return kind;
    }
    TABLE.binary_search_by_key(&extension.as_str(), |(other, _)| other).map_or(UNKNOWN, |at| TABLE[at].1)
}

/// What follows the last dot of a name, in lower case; none where the dot comes first or last.
fn extension(name: &[u8]) -> Option<String> {
    let file = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let at = file.iter().rposition(|&byte| byte == b'.').filter(|&at| at > 0)?;
    std::str::from_utf8(&file[at + 1..]).ok().filter(|extension| !extension.is_empty()).map(str::to_ascii_lowercase)
}

/// What is appended to a type in `Content-Type`: text is in UTF-8 these days, and browsers guess otherwise. XML says itself what it is in, and
/// would not be believed (RFC 7303, 3.2).
pub(super) fn parameters(kind: &str) -> &'static str {
    if kind.starts_with("text/") && kind != "text/xml" { "; charset=utf-8" } else { "" }
}

/// Whether files of a type may be worth compressing. Pictures, sound, films and archives are compressed as they are.
pub(super) fn compressible(kind: &str) -> bool {
    match kind.split_once('/') {
        Some(("image", "svg+xml" | "x-icon" | "bmp")) => true,
        Some(("image" | "audio" | "video", _)) => false,
        Some(("font", "woff" | "woff2")) => false,
        Some(("application", "gzip" | "zip" | "zstd" | "x-brotli" | "x-bzip2" | "x-xz" | "x-7z-compressed" | "vnd.rar")) => false,
        _ => true,
    }
}

/// RFC 9110, 8.3: better than a guess.
const UNKNOWN: &str = "application/octet-stream";

/// What web sites are made of, in the names that IANA has for it, sorted.
const TABLE: &[(&str, &str)] = &[
    ("3gp", "video/3gpp"),
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("appcache", "text/cache-manifest"),
    ("atom", "application/atom+xml"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("br", "application/x-brotli"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("eot", "application/vnd.ms-fontobject"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("gpx", "application/gpx+xml"),
    ("gz", "application/gzip"),
    ("heic", "image/heic"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar"),
    ("jar", "application/java-archive"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("kml", "application/vnd.google-earth.kml+xml"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/x-m4v"),
    ("map", "application/json"),
    ("md", "text/markdown"),
    ("mid", "audio/midi"),
    ("mjs", "text/javascript"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pbf", "application/x-protobuf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("ps", "application/postscript"),
    ("rar", "application/vnd.rar"),
    ("rss", "application/rss+xml"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("ts", "video/mp2t"),
    ("ttc", "font/collection"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("vtt", "text/vtt"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "text/xml"),
    ("xsl", "text/xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_in_lower_case() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (extension, kind) in TABLE {
            assert!(extension.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{extension}");
            let (one, other) = kind.split_once('/').unwrap();
            assert!(
                [one, other]
                    .iter()
                    .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || b"0123456789+-.".contains(&byte))),
                "{kind}"
            );
        }
    }

    #[test]
    fn names_and_their_types() {
        let added = [("foo".to_owned(), "text/x-foo".to_owned()), ("css".to_owned(), "text/x-own".to_owned())];
        for (name, kind) in [
            ("a.html", "text/html"),
            ("b/a.JS", "text/javascript"),
            ("a.min.mjs", "text/javascript"),
            ("a.tar.gz", "application/gzip"),
            ("a.foo", "text/x-foo"),
            ("a.css", "text/x-own"),
            ("a", UNKNOWN),
            ("a.", UNKNOWN),
            (".html", UNKNOWN),
            ("x.html/a", UNKNOWN),
            ("a.nonsense", UNKNOWN),
            ("", UNKNOWN),
        ] {
            assert_eq!(of(name.as_bytes(), &added), kind, "{name}");
        }
        assert_eq!(of(b"a.\xff", &[]), UNKNOWN);
        assert_eq!((parameters("text/css"), parameters("application/json")), ("; charset=utf-8", ""));
        assert_eq!((parameters("text/xml"), parameters("application/xml")), ("", ""));
        assert!(
            compressible("image/svg+xml") && compressible("application/json") && !compressible("image/png") && !compressible("font/woff2")
        );
    }
}
