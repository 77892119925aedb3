//! From return value to response: the ancestor's rules, and raw bytes where it wrote JSON about a Buffer.

use http::Method;

use crate::support::Function;

const JSON: &str = "application/json; charset=utf-8";
const BYTES: &str = "application/octet-stream";

const IMPORTS: &str = "
const { PassThrough, Readable } = require('stream')
const { Blob } = require('buffer')
class Point { x = 1; #hidden = 2 }
const circular = {}; circular.self = circular
";

#[test]
fn every_kind_of_return_value_becomes_a_response() {
    let function = Function::evaluating(IMPORTS);
    let cases: &[(&str, u16, &str, &str)] = &[
        // Text goes out as it is, and says nothing about its type.
        ("'grüße'", 200, "", "grüße"),
        ("'😀'", 200, "", "😀"),
        ("'latin \\xe9'", 200, "", "latin é"),
        ("''", 200, "", ""),
        ("'x'.repeat(200000)", 200, "", &"x".repeat(200_000)),
        ("'ü'.repeat(200000)", 200, "", &"ü".repeat(200_000)),
        ("'lone \\ud800'", 200, "", "lone \u{fffd}"),
        ("'con' + 'catenated'.repeat(3)", 200, "", "concatenatedcatenatedcatenated"),
        // Objects are JSON.
        ("({ a: [1, null], b: undefined })", 200, JSON, r#"{"a":[1,null]}"#),
        ("({})", 200, JSON, "{}"),
        ("[]", 200, JSON, "[]"),
        ("[1, 'ü']", 200, JSON, r#"[1,"ü"]"#),
        ("null", 200, JSON, "null"),
        ("new Date(0)", 200, JSON, r#""1970-01-01T00:00:00.000Z""#),
        ("new Point()", 200, JSON, r#"{"x":1}"#),
        ("new Map([[1, 2]])", 200, JSON, "{}"),
        ("({ toJSON: () => 'own' })", 200, JSON, r#""own""#),
        ("Object.create(null)", 200, JSON, "{}"),
        ("new String('boxed')", 200, JSON, r#""boxed""#),
        ("new Error('an object like others')", 200, JSON, "{}"),
        // The rest of the language.
        ("undefined", 200, "", ""),
        ("42", 200, "", "42"),
        ("-1.5e-7", 200, "", "-1.5e-7"),
        ("NaN", 200, "", "null"),
        ("true", 200, "", "true"),
        ("false", 200, "", "false"),
        ("0", 200, "", "0"),
        ("() => 1", 200, "", ""),
        ("Symbol('s')", 200, "", ""),
        // Bytes.
        ("Buffer.from('bytes')", 200, BYTES, "bytes"),
        ("Buffer.alloc(0)", 200, BYTES, ""),
        ("Buffer.from('a view of more').subarray(2, 6)", 200, BYTES, "view"),
        ("new Uint8Array([97, 98])", 200, BYTES, "ab"),
        // Streams are piped.
        ("Readable.from(['a', 'b', 'c'])", 200, "", "abc"),
        ("Readable.from([])", 200, "", ""),
        ("new PassThrough().end('through')", 200, "", "through"),
        ("new Blob(['blob']).stream()", 200, "", "blob"),
        ("new Response('of fetch').body", 200, "", "of fetch"),
        // Promises are awaited.
        ("Promise.resolve('promised')", 200, "", "promised"),
        ("({ then: (resolve) => resolve('thenable') })", 200, "", "thenable"),
        ("Promise.resolve(Promise.resolve({ a: 1 }))", 200, JSON, r#"{"a":1}"#),
        // What was said before stays.
        ("(response.status(201), { made: 1 })", 201, JSON, r#"{"made":1}"#),
        ("(response.status(201), 'made')", 201, "", "made"),
        ("(response.status(204), undefined)", 204, "", ""),
        ("(response.type('text/csv'), 'a,b')", 200, "text/csv; charset=utf-8", "a,b"),
        (
            "(response.set('Content-Type', 'application/hal+json'), { a: 1 })",
            200,
            "application/hal+json; charset=utf-8",
            r#"{"a":1}"#,
        ),
        ("(response.type('png'), Buffer.from('bytes'))", 200, "image/png", "bytes"),
        ("(response.type('text/plain'), Readable.from(['a']))", 200, "text/plain; charset=utf-8", "a"),
        // What cannot be sent.
        ("10n", 500, "", ""),
        ("({ big: 10n })", 500, "", ""),
        ("circular", 500, "", ""),
        ("({ toJSON() { throw new Error('no') } })", 500, "", ""),
        ("({ get a() { throw new Error('no') } })", 500, "", ""),
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

/// Request and response are made when they are asked for. That must not show: the same values, from a handler that never
/// looks at them, are answered with the same headers.
#[test]
fn an_answer_is_the_same_whether_the_response_was_looked_at_or_not() {
    let values =
        ["'text'", "({ a: 1 })", "null", "undefined", "42", "Buffer.from('bytes')", "'ü'", "''", "[]"];
    let code = |look: &str| {
        format!(
            "const values = [{}]\n\
             exports.handler = (event) => {{ {look}; return values[event['event-id']] }}\n",
            values.join(",")
        )
    };
    let fast = Function::serve(&code(""));
    let full = Function::serve(&code("event.extensions.response.locals; event.extensions.request.ip"));
    for (number, value) in values.iter().enumerate() {
        let ask = |function: &Function, method: Method| {
            let request = function.request(method.clone(), "/").header("x-request-id", "the-same");
            let mut answer = request.header("event-id", number.to_string()).send();
            answer.headers.remove("date");
            if method == Method::HEAD {
                // Node.js does not say how long the body would have been; that is no reason not to.
                answer.headers.remove("content-length");
            }
            (answer.status, answer.headers, answer.body)
        };
        for method in [Method::GET, Method::POST, Method::HEAD] {
            assert_eq!(ask(&fast, method.clone()), ask(&full, method.clone()), "{method} {value}");
        }
    }
}

#[test]
fn objects_carry_an_etag_and_are_not_sent_twice() {
    for code in [
        "exports.handler = () => ({ a: 1 })",
        "exports.handler = (event) => { event.extensions.response.locals; return { a: 1 } }",
        "exports.handler = (event) => void event.extensions.response.json({ a: 1 })",
    ] {
        let function = Function::serve(code);
        let answer = function.get("/");
        // Express' weak tag: length in hexadecimal, SHA-1 in base64, cut off.
        assert_eq!(answer.header("etag"), "W/\"7-n4nHQM60bXQYySSnisV5QdXpZSA\"", "{code}");
        let again = function.request(Method::GET, "/").header("if-none-match", answer.header("etag")).send();
        assert_eq!((again.status, again.body.len(), again.header("content-type")), (304, 0, ""), "{code}");
        let changed = function.request(Method::GET, "/").header("if-none-match", "W/\"other\"").send();
        assert_eq!((changed.status, changed.text().as_str()), (200, r#"{"a":1}"#), "{code}");
        let list = format!("\"a\", {}", answer.header("etag"));
        assert_eq!(
            function.request(Method::GET, "/").header("if-none-match", list).send().status,
            304,
            "{code}"
        );
        // Only for requests that ask for something.
        let post = function.request(Method::POST, "/").header("if-none-match", answer.header("etag")).send();
        assert_eq!(post.status, 200, "{code}");
        let forced = function.request(Method::GET, "/").header("if-none-match", answer.header("etag"));
        assert_eq!(forced.header("cache-control", "no-cache").send().status, 200, "{code}");
    }
}

#[test]
fn what_cannot_be_sent_is_named_in_the_log_and_not_to_the_client() {
    let mut function = Function::evaluating(IMPORTS);
    for (expression, logged) in [
        ("10n", "serialize a BigInt"),
        ("circular", "circular structure"),
        ("({ toJSON() { throw new RangeError('of its own') } })", "RangeError: of its own"),
    ] {
        let answer = function.eval(expression);
        assert_eq!((answer.status, answer.text().as_str()), (500, "Internal Server Error\n"), "{expression}");
        function.host.wait_for_line(logged);
    }
}

#[test]
fn a_head_request_runs_the_function_and_has_no_body() {
    let mut function = Function::serve("exports.handler = () => { console.log('ran'); return { a: 1 } }");
    let answer = function.request(Method::HEAD, "/").send();
    assert_eq!((answer.status, answer.body.len(), answer.header("content-length")), (200, 0, "7"));
    assert_eq!(answer.header("content-type"), JSON);
    function.host.wait_for_line("ran");
}

#[test]
fn every_origin_may_read_answers_and_errors() {
    let function = Function::evaluating("");
    for (expression, status) in [("'fine'", 200), ("null.property", 500), ("(response.status(404), '')", 404)]
    {
        let answer = function.eval(expression);
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (status, "*"),
            "{expression}"
        );
    }
    let answer =
        function.eval("(response.set('Access-Control-Allow-Origin', 'https://example.org'), 'fine')");
    assert_eq!(answer.all("access-control-allow-origin"), ["https://example.org"]);
    assert_eq!(
        function.post("/", "text/plain", vec![b'x'; 1_048_577]).header("access-control-allow-origin"),
        ""
    );
}
