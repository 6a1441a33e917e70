//! What an application finds in `environ`.

use crate::common::App;

const HELLO: &str = "
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'Hello, world!']
";

// clauses: 2, 3, 69
#[test]
fn a_callable_is_called_with_two_arguments_and_its_answer_is_sent() {
    let app = App::new(HELLO);
    let answer = app.get("/").run();
    answer.is_ok("Hello, world!");
    assert_eq!(answer.events, ["start 200", "data 13", "finish"]);
    assert_eq!(answer.field("content-length"), ["13"]);
    app.get("/").run().is_ok("Hello, world!");
}
