//! `event['extensions']['request']` is a Bottle request, with every method of Bottle's.

use http::Method;
use serde_json::json;
use testkit::Mount;

use crate::support::{Function, at_once};

// Bottle decodes parameters as Latin-1, and as UTF-8 when they are asked for as attributes.
#[test]
fn paths_queries_and_urls() {
    let function = Function::serve(
        "def handler(event, context):\n\
         \x20   r = event['extensions']['request']\n\
         \x20   return {'method': r.method, 'path': r.path, 'fullpath': r.fullpath, 'query_string': r.query_string,\n\
         \x20           'a': r.query.get('a'), 'utf8': r.query.a, 'all': r.query.getall('a'), 'b': r.query.b, 'none': r.query.get('c'),\n\
         \x20           'params': dict(r.params), 'url': r.url, 'script': r.script_name,\n\
         \x20           'scheme': r.urlparts.scheme, 'json': r.json, 'ajax': r.is_ajax}",
    );
    let answer = function
        .request(Method::GET, "/caf%C3%A9/a%20b%2Fc%zz?a=1&a=%C3%BC&b=x+y")
        .header("host", "example.org:81")
        .send()
        .json();
    assert_eq!(
        answer,
        json!({
            "method": "GET", "path": "/café/a b/c%zz", "fullpath": "/café/a b/c%zz",
            "query_string": "a=1&a=%C3%BC&b=x+y", "a": "Ã¼", "utf8": "ü", "all": ["1", "Ã¼"], "b": "x y", "none": null,
            "params": {"a": "Ã¼", "b": "x y"}, "script": "/", "scheme": "http", "json": null, "ajax": false,
            "url": "http://example.org:81/caf%C3%A9/a%20b/c%25zz?a=1&a=%C3%BC&b=x+y"
        })
    );
}

#[test]
fn headers_cookies_and_authentication() {
    let function = Function::serve(
        "def handler(event, context):\n\
         \x20   r = event['extensions']['request']\n\
         \x20   h = r.headers\n\
         \x20   return {'one': r.get_header('X-One'), 'default': r.get_header('X-None', 'default'),\n\
         \x20           'many': h['x-many'], 'type': r.content_type, 'length': r.content_length, 'auth': r.auth,\n\
         \x20           'cookies': dict(r.cookies), 'cookie': r.get_cookie('a'), 'remote': r.remote_addr,\n\
         \x20           'route': r.remote_route, 'underscored': h.get('X-Under'), 'raw': h.raw('X-One'),\n\
         \x20           'names': sorted(k for k in h if k.startswith('X-'))}",
    );
    let answer = function
        .request(Method::POST, "/")
        .header("x-one", "1")
        .header("x-many", "a")
        .header("x-many", "b")
        .header("x_under", "spoofed")
        .header("content-type", "text/plain; charset=utf-8")
        .header("authorization", "Basic YWRhOmzDtnZl")
        .header("cookie", "a=1; b=2")
        .header("cookie", "c=3")
        .header("x-forwarded-for", "192.0.2.1, 192.0.2.2")
        .body("12345")
        .send()
        .json();
    assert_eq!(
        answer,
        json!({
            "one": "1", "default": "default", "many": "a,b", "type": "text/plain; charset=utf-8", "length": 5,
            "auth": ["ada", "löve"], "cookies": {"a": "1", "b": "2", "c": "3"}, "cookie": "1",
            "remote": "192.0.2.1", "route": ["192.0.2.1", "192.0.2.2"], "underscored": null, "raw": "1",
            "names": ["X-Forwarded-For", "X-Many", "X-One"]
        })
    );
}

#[test]
fn bodies_forms_and_json() {
    let function = Function::serve(
        "def handler(event, context):\n\
         \x20   r = event['extensions']['request']\n\
         \x20   if r.path == '/form':\n\
         \x20       return {'forms': dict(r.forms), 'utf8': r.forms.name, 'params': sorted(r.params.items())}\n\
         \x20   if r.path == '/json':\n\
         \x20       return {'json': r.json, 'same': r.json == event['data']}\n\
         \x20   return {'body': r.body.read().decode(), 'again': r.body.read().decode(), 'chunked': r.chunked,\n\
         \x20           'data': event['data'].decode(), 'length': r.content_length}",
    );
    let form = function.post("/form?q=1", "application/x-www-form-urlencoded", "name=J%C3%BCrgen&x=1+2");
    assert_eq!(
        form.json(),
        json!({"forms": {"name": "JÃ¼rgen", "x": "1 2"}, "utf8": "Jürgen",
               "params": [["name", "JÃ¼rgen"], ["q", "1"], ["x", "1 2"]]})
    );
    let big = format!("name={}", "x".repeat(500_000));
    let form = function.post("/form", "application/x-www-form-urlencoded", big);
    assert_eq!(form.json()["utf8"].as_str().map(str::len), Some(500_000));
    let data = function.post("/json", "application/json", r#"{"a": [1]}"#);
    assert_eq!(data.json(), json!({"json": {"a": [1]}, "same": true}));
    let mut raw = function.connect().send(
        "POST /raw HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    let answer = raw.read_to_end();
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(body).expect("an answer in JSON");
    assert_eq!(
        body,
        json!({"body": "abcde", "again": "abcde", "chunked": false, "data": "abcde", "length": 5})
    );
}

#[test]
fn uploads_are_saved_under_cleaned_names() {
    let function = Function::serve(
        "import os, tempfile\n\
         def handler(event, context):\n\
         \x20   r = event['extensions']['request']\n\
         \x20   upload = r.files.get('file')\n\
         \x20   with tempfile.TemporaryDirectory() as folder:\n\
         \x20       path = os.path.join(folder, upload.filename)\n\
         \x20       upload.save(path)\n\
         \x20       upload.save(path, overwrite=True)\n\
         \x20       upload.save(folder + '/other')\n\
         \x20       try: upload.save(path)\n\
         \x20       except OSError as error: refused = str(error)\n\
         \x20       sizes = [os.path.getsize(path), os.path.getsize(folder + '/other')]\n\
         \x20   return {'name': upload.filename, 'raw': upload.raw_filename, 'type': upload.content_type,\n\
         \x20           'sizes': sizes, 'field': r.forms.field, 'refused': refused, 'keys': sorted(r.files)}",
    );
    let body: Vec<u8> = [
        &b"--X\r\nContent-Disposition: form-data; name=\"field\"\r\n\r\n\xc3\xbc\r\n"[..],
        b"--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../a b.bin\"\r\n",
        b"Content-Type: application/octet-stream\r\n\r\n",
        &[0xff; 300_000],
        b"\r\n--X--\r\n",
    ]
    .concat();
    let answer = function.post("/", "multipart/form-data; boundary=X", body).json();
    assert_eq!(
        answer,
        json!({"name": "a-b.bin", "raw": "../a b.bin", "type": "application/octet-stream",
               "sizes": [300_000, 300_000], "field": "ü", "refused": "File exists.", "keys": ["file"]})
    );
}

/// The request is a placeholder until it is looked at. Whatever is looked at first must do the same.
#[test]
fn every_first_touch_finds_a_whole_request() {
    let function = Function::evaluating("import bottle\nfrom bottle import BaseRequest");
    for (expression, value) in [
        ("request.path", "/"),
        ("request['REQUEST_METHOD']", "POST"),
        ("request.environ['REQUEST_METHOD']", "POST"),
        ("str('REQUEST_METHOD' in request)", "True"),
        ("str(len(request) > 10)", "True"),
        ("str('wsgi.input' in list(request))", "True"),
        ("str('wsgi.input' in request.keys())", "True"),
        ("str(isinstance(request, BaseRequest))", "True"),
        ("str(bool(request))", "True"),
        ("str(request == request and request != 1)", "True"),
        ("repr(request)", "<Request: POST http://host/>"),
        ("str(request)", "<Request: POST http://host/>"),
        ("f'{request}'", "<Request: POST http://host/>"),
        ("request.__class__.__name__", "Request"),
        ("getattr(request, 'nothing', 'no such attribute')", "no such attribute"),
        ("setattr(request, 'mine', 'kept') or request.mine", "kept"),
        ("request.__setitem__('x.y', 'set') or request['x.y']", "set"),
        ("request.copy().path", "/"),
        ("str(hash(request) == hash(request))", "True"),
        ("str('get_header' in dir(request))", "True"),
        ("str(callable(getattr(request, 'get_header')))", "True"),
    ] {
        let answer = function.request(Method::POST, "/").header("host", "host").body(expression).send();
        assert_eq!((answer.status, answer.text().as_str()), (200, value), "{expression}");
    }
}

#[test]
fn threads_of_a_call_may_touch_its_request_at_once() {
    let function = Function::serve(
        "import threading\n\
         def handler(event, context):\n\
         \x20   request, seen = event['extensions']['request'], []\n\
         \x20   threads = [threading.Thread(target=lambda: seen.append(request.query.get('n'))) for _ in range(8)]\n\
         \x20   for thread in threads: thread.start()\n\
         \x20   for thread in threads: thread.join()\n\
         \x20   return {'seen': seen}",
    );
    for answers in at_once(4, |n| function.get(&format!("/?n={n}")).json()).into_iter().enumerate() {
        assert_eq!(answers.1, json!({"seen": vec![answers.0.to_string(); 8]}));
    }
}

#[test]
fn a_function_that_looks_at_no_request_does_not_pay_for_bottle() {
    let function =
        Function::serve("import sys\ndef handler(event, context): return str('bottle' in sys.modules)");
    assert_eq!(function.get("/").text(), "False");
}

const OWN_BOTTLE: &str = "
__version__ = '0.1-mine'
class HTTPResponse(Exception):
    def __init__(self, body, status):
        self.body, self.status_code, self.headerlist = body, status, [('X-Mine', 'yes')]
class HTTPError(HTTPResponse): pass
";

#[test]
fn a_bottle_of_the_functions_own_lives_beside_ours() {
    let mount = Mount::with("bottle.py", OWN_BOTTLE).file(
        "function.py",
        "import bottle\n\
         def handler(event, context):\n\
         \x20   request = event['extensions']['request']\n\
         \x20   assert request.query.get('a') == '1'\n\
         \x20   return bottle.HTTPResponse(bottle.__version__ + ' ' + request.path, 203)\n",
    );
    let function = Function::serve_mount(mount, &[]);
    let answer = function.get("/path?a=1");
    assert_eq!((answer.status, answer.text().as_str()), (203, "0.1-mine /path"));
    assert_eq!(answer.header("x-mine"), "yes");
}

#[test]
fn nothing_of_the_hosts_own_can_be_imported_by_accident() {
    let function = Function::serve(
        "import json, os, subprocess, sys\n\
         def handler(event, context):\n\
         \x20   ask = [sys.executable, '-c', 'import json, sys; print(json.dumps(sys.path[1:]))']\n\
         \x20   usual = json.loads(subprocess.check_output(ask)) + [os.environ['MOD_ROOT_PATH']]\n\
         \x20   return [path for path in sys.path if path not in usual]",
    );
    assert_eq!(function.get("/").text(), "");
}
