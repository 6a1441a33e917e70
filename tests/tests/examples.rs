//! The short programs of `examples/`, as their readers run them.

use std::process::Command;

use wsgi_tests::browser::Browser;
use wsgi_tests::process::{Process, build};

/// An example on a port that the system chooses.
fn example(name: &str) -> Process {
    let mut command = Command::new(build("wsgi-examples", name));
    command.arg("127.0.0.1:0").env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONDONTWRITEBYTECODE", "1");
    Process::start(command)
}

#[test]
fn rust_in_python_gives_the_application_rust_objects_and_a_rust_module() {
    let mut process = example("rust_in_python");
    let mut browser = Browser::new(process.address());
    let words = "The most frequent word is 'the', which occurs 3 times.\n";
    for (target, first, name, visits) in [
        ("/?user=ada", "Hello, ada (admin)!", "ada", 1),
        ("/?user=grace", "Hello, grace!", "grace", 1),
        ("/?user=ada", "Hello, ada (admin)!", "ada", 2),
        ("/", "Hello, stranger!", "stranger", 1),
    ] {
        assert_eq!(browser.get(target).text(), format!("{first}\nThis is visit {visits} of {name}.\n{words}"), "{}", process.stderr());
    }
}
