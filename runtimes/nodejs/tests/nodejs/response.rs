//! `event.extensions.response` is an Express response over an `http.ServerResponse`.

use http::Method;
use serde_json::json;

use crate::support::Function;

const JSON: &str = "application/json; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

#[test]
fn a_response_that_the_function_sends_itself_is_left_alone() {
    let function = Function::evaluating("const later = (run) => { setTimeout(run, 20) }");
    let cases: &[(&str, u16, &str, &str)] = &[
        ("void response.send('sent')", 200, HTML, "sent"),
        ("void response.send({ a: 1 })", 200, JSON, r#"{"a":1}"#),
        ("void response.send(Buffer.from('b'))", 200, "application/octet-stream", "b"),
        ("void response.status(202).json([1])", 202, JSON, "[1]"),
        ("void response.jsonp({ a: 1 })", 200, JSON, r#"{"a":1}"#),
        ("void response.sendStatus(404)", 404, "text/plain; charset=utf-8", "Not Found"),
        ("void response.status(418).end()", 418, "", ""),
        ("void response.end('ended')", 200, "", "ended"),
        ("void response.type('txt').send('typed')", 200, "text/plain; charset=utf-8", "typed"),
        (
            "void response.writeHead(201, { 'Content-Type': 'text/x-own' }).end('raw')",
            201,
            "text/x-own",
            "raw",
        ),
        (
            "void (response.statusCode = 203, response.setHeader('content-type', 'a/b'), response.end('set'))",
            203,
            "a/b",
            "set",
        ),
        (
            "void (response.write('in '), response.write(Buffer.from('two ')), response.end('pieces'))",
            200,
            "",
            "in two pieces",
        ),
        // A value that is returned as well changes nothing.
        ("(response.send('sent'), 'returned')", 200, HTML, "sent"),
        ("(response.end('ended'), { returned: 1 })", 200, "", "ended"),
        // As Express' own handlers do: the answer is the response, or comes when the handler has long returned.
        ("response.send('chained')", 200, HTML, "chained"),
        (
            "new Promise((resolve) => later(() => { response.send('in time'); resolve() }))",
            200,
            HTML,
            "in time",
        ),
        ("void response.redirect('/there')", 302, HTML, "<p>Found. Redirecting to /there</p>"),
        (
            "void response.format({ json: () => response.send({ a: 1 }), text: () => response.send('text') })",
            200,
            JSON,
            r#"{"a":1}"#,
        ),
    ];
    for (expression, status, media_type, body) in cases {
        let request = function.request(Method::POST, "/").header("accept", "text/html, */*;q=0.1");
        let answer = request.header("content-type", "text/javascript").body(*expression).send();
        let got = (answer.status, answer.header("content-type"), answer.text());
        assert_eq!(got, (*status, *media_type, (*body).to_owned()), "{expression}");
    }
    assert_eq!(
        function.eval("void response.redirect(301, 'https://example.org/')").header("location"),
        "https://example.org/"
    );
}

#[test]
fn headers_of_every_kind() {
    let function = Function::serve(
        "exports.handler = ({ extensions: { response } }) => {\n\
         \x20 response.cookie('first', '1').cookie('second', 'two words', { path: '/x', httpOnly: true })\n\
         \x20 response.clearCookie('old')\n\
         \x20 response.append('X-Many', 'a').append('X-Many', 'b')\n\
         \x20 response.set({ 'X-One': 1, 'X-Gone': 'gone' }).removeHeader('X-Gone')\n\
         \x20 response.vary('Accept').vary('Origin').links({ next: '/2' }).location('/here').attachment('a report.pdf')\n\
         \x20 return [response.get('X-One'), response.getHeader('x-many'), response.hasHeader('x-gone'), response.headersSent]\n\
         }",
    );
    let answer = function.get("/");
    assert_eq!(answer.json(), json!(["1", ["a", "b"], false, false]));
    let cookies = answer.all("set-cookie");
    assert_eq!(cookies[..2], ["first=1; Path=/", "second=two%20words; Path=/x; HttpOnly"]);
    assert!(cookies[2].starts_with("old=; Path=/; Expires="), "{cookies:?}");
    assert_eq!(answer.all("x-many"), ["a", "b"]);
    assert_eq!((answer.header("x-one"), answer.header("x-gone")), ("1", ""));
    assert_eq!(answer.header("vary"), "Accept, Origin");
    assert_eq!((answer.header("link"), answer.header("location")), ("</2>; rel=\"next\"", "/here"));
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"a report.pdf\"");
    assert_eq!(answer.header("content-type"), "application/pdf; charset=utf-8");
    assert_eq!(answer.header("x-powered-by"), "");
}

#[test]
fn headers_cannot_split_a_response_or_lie_about_its_length() {
    let function = Function::evaluating("");
    for expression in [
        "(response.setHeader('X-Split', 'a\\r\\nX-Injected: b'), 'ok')",
        "(response.setHeader('X Name', 'a'), 'ok')",
        "(response.setHeader('X-Control', '\\u0000'), 'ok')",
    ] {
        let answer = function.eval(expression);
        assert_eq!((answer.status, answer.header("x-injected")), (500, ""), "{expression}");
    }
    let answer = function.eval("(response.setHeader('X-Latin', 'caf\\xe9'), 'ok')");
    assert_eq!(answer.headers["x-latin"].as_bytes(), b"caf\xe9");
    // A length that is right is kept; one that is not cannot make two answers of one.
    assert_eq!(function.eval("(response.set('Content-Length', '2'), 'ok')").text(), "ok");
    let lying = function.request(Method::POST, "/").body("(response.set('Content-Length', '1'), 'ok')");
    let outcome = lying.try_send();
    assert!(
        outcome.as_ref().map_or(true, |answer| answer.status == 500 || answer.text() == "ok"),
        "{outcome:?}"
    );
    assert_eq!(function.eval("'next'").text(), "next");
}

#[test]
fn files_are_sent_in_part_or_in_whole() {
    let mount = testkit::Mount::with(
        "function.js",
        "const path = require('path')\n\
         exports.handler = ({ extensions: { request, response } }) => new Promise((resolve, reject) => {\n\
         \x20 response.sendFile(path.join(__dirname, request.path), (error) => error ? reject(error) : resolve())\n\
         })",
    )
    .file("page.html", "<p>0123456789</p>");
    let function = Function::serve_mount(mount, &[]);
    let answer = function.get("/page.html");
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.text().as_str()),
        (200, HTML_FILE, "<p>0123456789</p>")
    );
    assert!(!answer.header("last-modified").is_empty() && answer.header("etag").starts_with("W/"));
    let part = function.request(Method::GET, "/page.html").header("range", "bytes=3-5").send();
    assert_eq!((part.status, part.text().as_str()), (206, "012"));
    let known =
        function.request(Method::GET, "/page.html").header("if-none-match", answer.header("etag")).send();
    assert_eq!((known.status, known.body.len()), (304, 0));
    assert_eq!(function.get("/nothing.html").status, 500);
}

const HTML_FILE: &str = "text/html; charset=UTF-8";

#[test]
fn what_is_sent_after_the_end_is_an_error_of_the_functions_own() {
    let mut function = Function::serve(
        "exports.handler = ({ extensions: { response } }) => {\n\
         \x20 response.send('first')\n\
         \x20 try { response.send('second') } catch (error) { console.log('caught', error.code) }\n\
         \x20 response.write('third')\n\
         }",
    );
    assert_eq!(function.get("/").text(), "first");
    function.host.wait_for_line("caught ERR_HTTP_HEADERS_SENT");
    assert_eq!(function.get("/").text(), "first");
}

#[test]
fn finish_and_close_are_told() {
    let mut function = Function::serve(
        "exports.handler = ({ extensions: { response } }) => {\n\
         \x20 for (const name of ['finish', 'close']) response.on(name, () => console.log(name, response.writableFinished))\n\
         \x20 return 'text'\n\
         }",
    );
    assert_eq!(function.get("/").text(), "text");
    function.host.wait_for_line("finish true");
    function.host.wait_for_line("close true");
}

#[test]
fn an_error_after_the_head_has_gone_out_cuts_the_answer_off() {
    let mut function = Function::serve(
        "exports.handler = async ({ extensions: { response } }) => {\n\
         \x20 response.write('begun')\n\
         \x20 await new Promise((resolve) => setTimeout(resolve, 20))\n\
         \x20 throw new Error('in the middle')\n\
         }",
    );
    let mut answer = function.request(Method::GET, "/").open();
    assert_eq!(answer.status, 200);
    assert!(answer.rest().is_err(), "a cut answer must not look complete");
    function.host.wait_for_line("Error: in the middle");
}

#[test]
fn a_function_that_answers_and_then_fails_has_answered() {
    let mut function = Function::serve(
        "exports.handler = async ({ extensions: { response } }) => {\n\
         \x20 response.send('sent')\n\
         \x20 throw new Error('too late')\n\
         }",
    );
    assert_eq!(function.get("/").text(), "sent");
    function.host.wait_for_line("Error: too late");
}
