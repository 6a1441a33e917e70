//! `CONFORMANCE.md` says what the tests say.

use std::path::Path;

use wsgi_tests::conformance::render;

#[test]
fn conformance_md_is_what_the_tests_say() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let expected = render(workspace).unwrap_or_else(|faults| panic!("{}", faults.join("\n")));
    let file = workspace.join("CONFORMANCE.md");
    if std::env::var_os("UPDATE_CONFORMANCE").is_some() {
        std::fs::write(&file, &expected).expect("CONFORMANCE.md can be written");
    }
    let stands = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(stands == expected, "CONFORMANCE.md is out of date: UPDATE_CONFORMANCE=1 cargo test -p wsgi-tests --test conformance");
}
