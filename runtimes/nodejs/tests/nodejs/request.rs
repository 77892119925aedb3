//! `event.extensions.request` is an Express request over an `http.IncomingMessage`, with every method of both.

use http::Method;
use serde_json::json;

use crate::support::{Function, at_once};

#[test]
fn paths_queries_and_urls() {
    let function = Function::serve(
        "exports.handler = ({ extensions: { request: r } }) => ({\n\
         \x20 method: r.method, url: r.url, originalUrl: r.originalUrl, path: r.path, baseUrl: r.baseUrl, query: r.query,\n\
         \x20 params: r.params, hostname: r.hostname, host: r.get('host'), protocol: r.protocol, secure: r.secure,\n\
         \x20 subdomains: r.subdomains, version: r.httpVersion,\n\
         })",
    );
    let answer = function
        .request(Method::GET, "/caf%C3%A9/a%20b?a=1&a=2&b[c]=x+y&d=%C3%BC&e")
        .header("host", "www.shop.example.org:81")
        .send()
        .json();
    assert_eq!(
        answer,
        json!({
            "method": "GET", "url": "/caf%C3%A9/a%20b?a=1&a=2&b[c]=x+y&d=%C3%BC&e",
            "originalUrl": "/caf%C3%A9/a%20b?a=1&a=2&b[c]=x+y&d=%C3%BC&e", "path": "/caf%C3%A9/a%20b", "baseUrl": "",
            "query": {"a": ["1", "2"], "b": {"c": "x y"}, "d": "ü", "e": ""}, "params": {"0": "/café/a b"},
            "hostname": "www.shop.example.org", "host": "www.shop.example.org:81", "protocol": "http", "secure": false,
            "subdomains": ["shop", "www"], "version": "1.1"
        })
    );
    // What cannot be decoded is left as it is.
    assert_eq!(function.get("/100%").json()["params"], json!({"0": "/100%"}));
    assert_eq!(function.get("/").json()["query"], json!({}));
}

#[test]
fn headers_and_negotiation() {
    let function = Function::serve(
        "exports.handler = ({ extensions: { request: r } }) => ({\n\
         \x20 one: r.get('X-One'), header: r.header('x-one'), own: r.headers['x-one'], none: r.get('x-none') ?? 'none',\n\
         \x20 many: r.headers['x-many'], referrer: r.get('Referrer'), cookie: r.headers.cookie, agents: r.headers['user-agent'],\n\
         \x20 json: r.is('json'), html: r.is('html'), any: r.is(['html', 'application/*']), accepts: r.accepts('html', 'json'),\n\
         \x20 refused: r.accepts('image/png'), languages: r.acceptsLanguages('fr', 'de'), encodings: r.acceptsEncodings('br'),\n\
         \x20 xhr: r.xhr, range: r.range(1000), raw: r.rawHeaders.filter((name) => /^x-(one|many)$/i.test(name)).length,\n\
         \x20 fresh: r.fresh, stale: r.stale,\n\
         })",
    );
    let answer = function
        .request(Method::POST, "/")
        .header("x-one", "1")
        .header("x-many", "a")
        .header("x-many", "b")
        .header("content-type", "application/json; charset=utf-8")
        .header("accept", "text/*;q=0.5, application/json")
        .header("accept-language", "de-AT, de;q=0.8")
        .header("accept-encoding", "br, gzip")
        .header("cookie", "a=1; b=2")
        .header("referer", "https://example.org/")
        .header("user-agent", "one")
        .header("x-requested-with", "XMLHttpRequest")
        .header("range", "bytes=0-99")
        .body("[]")
        .send()
        .json();
    assert_eq!(
        answer,
        json!({
            "one": "1", "header": "1", "own": "1", "none": "none", "many": "a, b", "referrer": "https://example.org/",
            "cookie": "a=1; b=2", "agents": "one", "json": "json", "html": false, "any": "application/json",
            "accepts": "json", "refused": false, "languages": "de", "encodings": "br", "xhr": true,
            "range": [{"start": 0, "end": 99}], "raw": 3, "fresh": false, "stale": true
        })
    );
}

#[test]
fn addresses() {
    let function = Function::serve(
        "exports.handler = ({ extensions: { request: r } }) => [\n\
         \x20 r.ip, r.ips, r.socket.remoteAddress, r.connection === r.socket, typeof r.socket.remotePort, r.app.get('trust proxy'),\n\
         ]",
    );
    // Nobody has said that the proxy is to be trusted.
    let answer = function.request(Method::GET, "/").header("x-forwarded-for", "192.0.2.1").send().json();
    assert_eq!(answer, json!(["127.0.0.1", [], "127.0.0.1", true, "number", false]));
}

#[test]
fn bodies() {
    let function = Function::serve(
        "exports.handler = ({ data, extensions: { request: r } }) => [\n\
         \x20 Buffer.isBuffer(r.body) ? `Buffer ${r.body}` : r.body, data === r.body, r.complete, r.readableEnded,\n\
         ]",
    );
    // Kubeless reads bodies with body-parser's `raw`, so that is what the request has: bytes, or an empty object.
    let text = function.post("/", "text/plain", "text").json();
    assert_eq!((&text[0], &text[2]), (&json!("Buffer text"), &json!(true)));
    assert_eq!(function.post("/", "application/json", "[1]").json()[0], json!("Buffer [1]"));
    assert_eq!(function.get("/").json()[0], json!({}));
}

#[test]
fn a_multipart_body_is_left_to_be_read() {
    let function = Function::serve(
        "exports.handler = async ({ data, extensions: { request } }) => {\n\
         \x20 const pieces = []\n\
         \x20 for await (const piece of request) pieces.push(piece)\n\
         \x20 return [data, Buffer.concat(pieces).toString(), request.readableEnded, Number(request.get('content-length'))]\n\
         }",
    );
    let body = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n";
    let answer = function.post("/", "multipart/form-data; boundary=x", body).json();
    assert_eq!(answer, json!([{}, body, true, body.len()]));
    assert_eq!(function.post("/", "multipart/mixed; boundary=x", body).json()[1], json!(body));
    // The limit is for all bodies.
    let large = vec![b'-'; 1_048_577];
    assert_eq!(function.post("/", "multipart/form-data; boundary=x", large).status, 413);
}

#[test]
fn it_is_what_its_prototypes_say() {
    let function = Function::serve(
        "const http = require('http')\n\
         const { Readable, Writable } = require('stream')\n\
         exports.handler = ({ extensions: { request, response } }) => ({\n\
         \x20 request: request instanceof http.IncomingMessage, readable: request instanceof Readable,\n\
         \x20 response: response instanceof http.ServerResponse, writable: typeof response.write, linked: request.res === response\n\
         \x20   && response.req === request && request.app === response.app, next: typeof request.next,\n\
         \x20 events: [typeof request.on, typeof response.once], own: Object.keys(response.locals),\n\
         })",
    );
    assert_eq!(
        function.get("/").json(),
        json!({
            "request": true, "readable": true, "response": true, "writable": "function", "linked": true,
            "next": "function", "events": ["function", "function"], "own": []
        })
    );
}

#[test]
fn the_same_objects_come_every_time_they_are_asked_for_and_others_for_another_call() {
    let function = Function::serve_with(
        "let last\n\
         exports.handler = async (event) => {\n\
         \x20 const { request, response } = event.extensions\n\
         \x20 request.mine = response.locals.mine = event['event-id']\n\
         \x20 await new Promise((resolve) => setTimeout(resolve, 5))\n\
         \x20 const fresh = last !== request\n\
         \x20 last = request\n\
         \x20 return [fresh, event.extensions.request === request, event.extensions.request.mine, event.extensions.response.locals.mine]\n\
         }",
        &[("FUNC_WORKERS", "1")],
    );
    for (number, answer) in at_once(20, |number| {
        function.request(Method::GET, "/").header("event-id", number.to_string()).send().json()
    })
    .into_iter()
    .enumerate()
    {
        let id = number.to_string();
        assert_eq!(answer, json!([true, true, id, id]));
    }
}

#[test]
fn every_method_reaches_the_function() {
    let function = Function::serve("exports.handler = ({ extensions: { request } }) => request.method");
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "REPORT", "PURGE"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        assert_eq!(function.request(method.clone(), "/any/path").send().text(), method.as_str());
    }
    assert_eq!(function.request(Method::POST, "/healthz").send().text(), "POST");
}
