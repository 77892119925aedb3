//! From return value to response: the ancestor's rules, and what it answered 500 for although it means something.

use crate::support::Function;

const HTML: &str = "text/html; charset=UTF-8";
const JSON: &str = "application/json";

const IMPORTS: &str = "
import collections, decimal, enum, io, types
from bottle import HTTPError, HTTPResponse

class Text(str): pass
class Falsy:
    def __len__(self): return 0
class Array:
    'As numpy has them: neither true nor false.'
    def __bool__(self): raise ValueError('ambiguous')
    def __iter__(self): return iter(['a', 'b'])
class Sequence:
    'Iterable in the old way.'
    def __getitem__(self, i): return ['x', 'y'][i]
class Point: pass
";

#[test]
fn every_kind_of_return_value_becomes_a_response() {
    let function = Function::evaluating(IMPORTS);
    let cases: &[(&str, u16, &str, &str)] = &[
        // Text and bytes.
        ("'grüße'", 200, HTML, "grüße"),
        ("b'bytes'", 200, HTML, "bytes"),
        ("Text('a subclass')", 200, HTML, "a subclass"),
        ("bytearray(b'mutable')", 200, HTML, "mutable"),
        ("memoryview(b'a view')[2:]", 200, HTML, "view"),
        // Data.
        ("{'a': [1, None]}", 200, JSON, r#"{"a": [1, null]}"#),
        ("collections.OrderedDict(b=1, a=2)", 200, JSON, r#"{"b": 1, "a": 2}"#),
        ("{}", 200, JSON, "{}"),
        ("{'ä': 'ö'}", 200, JSON, r#"{"\u00e4": "\u00f6"}"#),
        // Nothing.
        ("None", 200, HTML, ""),
        ("''", 200, HTML, ""),
        ("b''", 200, HTML, ""),
        ("0", 200, HTML, ""),
        ("0.0", 200, HTML, ""),
        ("False", 200, HTML, ""),
        ("[]", 200, HTML, ""),
        ("()", 200, HTML, ""),
        ("Falsy()", 200, HTML, ""),
        ("iter([])", 200, HTML, ""),
        ("set()", 200, HTML, ""),
        // Lists of text are joined.
        ("['a', 'b', 'c']", 200, HTML, "abc"),
        ("(b'a', b'b')", 200, HTML, "ab"),
        ("['', '']", 200, HTML, ""),
        // Where the ancestor answered 500.
        ("42", 200, JSON, "42"),
        ("-1.5", 200, JSON, "-1.5"),
        ("True", 200, JSON, "true"),
        ("[1, 2]", 200, JSON, "[1, 2]"),
        ("[{'a': 1}, {}]", 200, JSON, r#"[{"a": 1}, {}]"#),
        ("('a', 1)", 200, JSON, r#"["a", 1]"#),
        ("[None]", 200, JSON, "[null]"),
        ("[[]]", 200, JSON, "[[]]"),
        ("10 ** 30", 200, JSON, "1000000000000000000000000000000"),
        // Streams.
        ("iter(['a', '', b'b'])", 200, HTML, "ab"),
        ("(str(i) for i in range(5))", 200, HTML, "01234"),
        ("{'one'}", 200, HTML, "one"),
        ("map(str, [1, 2])", 200, HTML, "12"),
        ("Array()", 200, HTML, "ab"),
        ("Sequence()", 200, HTML, "xy"),
        ("io.BytesIO(b'a file')", 200, HTML, "a file"),
        ("io.StringIO('a tëxt file')", 200, HTML, "a tëxt file"),
        ("io.BytesIO(b'')", 200, HTML, ""),
        ("io.BytesIO(b'x' * 200000).read()", 200, HTML, &"x".repeat(200_000)),
        ("io.BytesIO(b'x' * 200000)", 200, HTML, &"x".repeat(200_000)),
        // Bottle's responses.
        ("HTTPResponse('made', 201)", 201, HTML, "made"),
        ("HTTPResponse('plain', headers={'Content-Type': 'text/plain'})", 200, "text/plain", "plain"),
        ("HTTPResponse({'a': 1}, 202)", 202, JSON, r#"{"a": 1}"#),
        ("HTTPResponse([{'a': 1}])", 200, JSON, r#"[{"a": 1}]"#),
        ("HTTPResponse(b'\\x00bytes')", 200, HTML, "\0bytes"),
        ("HTTPResponse()", 200, HTML, ""),
        ("HTTPResponse(status=204)", 204, "", ""),
        ("HTTPResponse(iter('abc'), 206)", 206, HTML, "abc"),
        ("HTTPResponse(io.BytesIO(b'file'))", 200, HTML, "file"),
        ("HTTPError(400, {'error': 'data stays data'})", 400, JSON, r#"{"error": "data stays data"}"#),
        // What cannot be sent.
        ("Point()", 500, "", ""),
        ("Point", 500, "", ""),
        ("lambda: 1", 500, "", ""),
        ("decimal.Decimal('1.5')", 500, "", ""),
        ("{'a': Point()}", 500, "", ""),
        ("[Point()]", 500, "", ""),
        ("iter([1])", 500, "", ""),
        ("1j", 500, "", ""),
        ("'\\ud800'", 500, "", ""),
        ("HTTPResponse(status=999)", 500, "", ""),
    ];
    let mut wrong = Vec::new();
    for (expression, status, media_type, body) in cases {
        let answer = function.eval(expression);
        let same_body = *status == 500 || answer.text() == *body;
        let same_type = *status == 500 || answer.header("content-type") == *media_type;
        if answer.status != *status || !same_type || !same_body {
            let body: String = answer.text().chars().take(200).collect();
            wrong.push(format!(
                "{expression}: {} {:?} {body:?}, not {status} {media_type:?}",
                answer.status,
                answer.header("content-type")
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_cannot_be_sent_is_named_in_the_log_and_not_to_the_client() {
    let mut function = Function::evaluating(IMPORTS);
    for (expression, logged) in [
        ("Point()", "it is a function.Point; allowed: str, bytes, dict"),
        ("{'a': Point()}", "dict as JSON: Object of type Point is not JSON serializable"),
        ("iter([1])", "it yields a int; allowed: str, bytes"),
        ("HTTPResponse(status=999)", "status 999 is not between 200 and 599"),
    ] {
        let answer = function.eval(expression);
        assert_eq!(answer.text(), "Internal Server Error\n", "{expression}");
        function.host.wait_for_line(logged);
    }
}

#[test]
fn headers_of_a_response_keep_their_order_and_repeated_cookies_survive() {
    let function = Function::serve(
        "from bottle import HTTPResponse\n\
         def handler(event, context):\n\
         \x20   response = HTTPResponse('ok', 200)\n\
         \x20   response.set_cookie('first', '1')\n\
         \x20   response.set_cookie('second', '2', path='/x')\n\
         \x20   response.add_header('X-Many', 'a')\n\
         \x20   response.add_header('X-Many', 'b')\n\
         \x20   response.set_header('X-Accent', 'é')\n\
         \x20   return response\n",
    );
    let answer = function.get("/");
    assert_eq!(answer.all("set-cookie"), ["first=1", "second=2; Path=/x"]);
    assert_eq!(answer.all("x-many"), ["a", "b"]);
    // Bottle sends text as UTF-8.
    assert_eq!(answer.headers["x-accent"].as_bytes(), "é".as_bytes());
}

#[test]
fn a_raised_response_is_an_answer() {
    let function = Function::serve(
        "from bottle import HTTPResponse, HTTPError\n\
         def generator():\n\
         \x20   raise HTTPResponse('before the first piece', 418)\n\
         \x20   yield ''\n\
         def handler(event, context):\n\
         \x20   path = event['extensions']['request'].path\n\
         \x20   if path == '/response': raise HTTPResponse({'a': 1}, 409, {'X-A': 'b'})\n\
         \x20   if path == '/error': raise HTTPError(404, 'no <such> thing')\n\
         \x20   return generator()\n",
    );
    let answer = function.get("/response");
    assert_eq!((answer.status, answer.text().as_str()), (409, r#"{"a": 1}"#));
    assert_eq!(answer.header("x-a"), "b");
    let answer = function.get("/error");
    assert_eq!((answer.status, answer.header("content-type")), (404, HTML));
    assert!(answer.text().contains("no &lt;such&gt; thing"), "{}", answer.text());
    let answer = function.get("/generator");
    assert_eq!((answer.status, answer.text().as_str()), (418, "before the first piece"));
}

#[test]
fn a_head_request_runs_the_function_and_has_no_body() {
    let function = Function::evaluating("");
    let answer = function.request(http::Method::HEAD, "/").send();
    // Nothing to evaluate: the function ran.
    assert_eq!((answer.status, answer.body.len()), (500, 0));
}
