//! Packages from npm, installed by the install step as Kubeless calls it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use http::Method;
use serde_json::json;
use testkit::Mount;

use crate::support::Function;

/// What the tests here use. Both generations of Express, under names of their own.
const PACKAGE: &str = r#"{
  "private": true,
  "dependencies": {
    "cookie-parser": "1.4.7",
    "end-of-stream": "1.4.5",
    "express": "4.22.3",
    "express5": "npm:express@5.3.0",
    "from2": "2.3.0",
    "lodash": "4.18.1",
    "multer": "2.5.0",
    "uuid": "14.0.3"
  }
}
"#;

/// The folder they are installed in, once for all tests and, if nothing has changed, for the runs to come.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
        let done = folder.join("installed");
        if fs::read_to_string(&done).is_ok_and(|what| what == PACKAGE) {
            return folder;
        }
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("package.json"), PACKAGE))
            .expect("a folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubeless-npm-install.sh");
        // Not through `Launch`: a registry may take longer than a host's tests wait for anything.
        let output = Command::new(script).env("KUBELESS_INSTALL_VOLUME", &folder).output().expect("a shell");
        assert!(output.status.success(), "{output:?}");
        fs::write(done, PACKAGE).expect("a file");
        folder
    })
}

/// Serves this code with the packages beside it.
fn serve(file: &str, code: &str) -> Function {
    let mount = Mount::with(file, code);
    symlink(installed().join("node_modules"), mount.path().join("node_modules")).expect("a link");
    Function::serve_mount(mount, &[])
}

#[test]
fn lodash() {
    let function = serve(
        "function.js",
        "const _ = require('lodash')\nexports.handler = ({ data }) => _.chain(data).map('n').sum().value()",
    );
    assert_eq!(function.post("/", "application/json", r#"[{"n": 1}, {"n": 41}]"#).text(), "42");
    let function = serve(
        "function.mjs",
        "import _ from 'lodash'\nexport const handler = () => [_.chunk([1, 2, 3], 2), _.VERSION]",
    );
    assert_eq!(function.get("/").json(), json!([[[1, 2], [3]], "4.18.1"]));
}

#[test]
fn a_package_of_ecmascript_modules_only() {
    for (file, code) in [
        ("function.js", "const { v5 } = require('uuid')\nexports.handler = () => v5('a', v5.URL)"),
        ("function.mjs", "import { v5 } from 'uuid'\nexport const handler = () => v5('a', v5.URL)"),
    ] {
        assert_eq!(serve(file, code).get("/").text().len(), 36, "{file}");
    }
}

#[test]
fn packages_are_found_by_node_path_alone() {
    let code = "exports.handler = () => require('lodash').VERSION + require('express/package').version";
    let packages = installed().join("node_modules");
    let variables = [("NODE_PATH", packages.to_str().expect("a path in UTF-8"))];
    let function = Function::serve_mount(Mount::with("function.js", code), &variables);
    assert_eq!(function.get("/").text(), "4.18.14.22.3");
}

#[test]
fn multer_reads_the_form_that_was_left_unread() {
    let function = serve(
        "function.js",
        "const { createHash } = require('crypto')\n\
         const multer = require('multer')\n\
         const upload = multer({ storage: multer.memoryStorage() }).any()\n\
         const disk = multer({ dest: __dirname + '/uploads' }).single('file')\n\
         const run = (middleware, request, response) =>\n\
         \x20 new Promise((resolve, reject) => middleware(request, response, (error) => error ? reject(error) : resolve()))\n\
         exports.handler = async ({ data, extensions: { request, response } }) => {\n\
         \x20 if (request.path === '/disk') {\n\
         \x20   await run(disk, request, response)\n\
         \x20   return [request.file.size, require('fs').statSync(request.file.path).size]\n\
         \x20 }\n\
         \x20 await run(upload, request, response)\n\
         \x20 const [file] = request.files\n\
         \x20 return [data, request.body.title, file.originalname, file.mimetype, createHash('sha256').update(file.buffer).digest('hex')]\n\
         }",
    );
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n * 7 % 256) as u8).collect();
    let mut body = b"--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\n\xc3\x9cbersicht\r\n\
        --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\nContent-Type: a/b\r\n\r\n"
        .to_vec();
    body.extend(&content);
    body.extend(b"\r\n--x--\r\n");
    let media_type = "multipart/form-data; boundary=x";
    let answer = function.post("/", media_type, body.clone()).json();
    assert_eq!(
        (&answer[0], &answer[1], &answer[2], &answer[3]),
        (&json!({}), &json!("Übersicht"), &json!("a.bin"), &json!("a/b"))
    );
    assert_eq!(answer[4].as_str().map(str::len), Some(64));
    assert_eq!(function.post("/disk", media_type, body).json(), json!([300_000, 300_000]));
    // A form that breaks off is the client's mistake, and the function's to report.
    assert_eq!(
        function.post("/", media_type, "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n").status,
        500
    );
}

#[test]
fn streams_of_npm_are_piped_into_the_response() {
    // Kubeless' own example: the function answers with its stream when that has been piped.
    let function = serve(
        "function.js",
        "const eos = require('end-of-stream')\n\
         const from = require('from2')\n\
         exports.handler = (event) => new Promise((resolve, reject) => {\n\
         \x20 const { response } = event.extensions\n\
         \x20 let text = 'lorem ipsum '.repeat(10000)\n\
         \x20 const stream = from(function (size, next) {\n\
         \x20   if (text.length === 0) return next(null, null)\n\
         \x20   const piece = text.slice(0, size)\n\
         \x20   text = text.slice(size)\n\
         \x20   next(null, piece)\n\
         \x20 })\n\
         \x20 response.setHeader('Content-Type', 'text/event-stream')\n\
         \x20 eos(stream, (error) => error ? reject(error) : resolve(stream))\n\
         \x20 stream.pipe(response)\n\
         })",
    );
    let answer = function.get("/");
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
    assert_eq!(answer.text(), "lorem ipsum ".repeat(10_000));
}

#[test]
fn a_whole_express_app_may_be_the_function() {
    for (express, version) in [("express", "4"), ("express5", "5")] {
        let function = serve(
            "function.js",
            &format!(
                "const express = require('{express}')\n\
                 const cookies = require('cookie-parser')\n\
                 const app = express()\n\
                 app.use(cookies('secret'))\n\
                 app.use((request, response, next) => {{ response.set('X-Middleware', 'ran'); next() }})\n\
                 const items = express.Router()\n\
                 items.get('/:id', (request, response) => response.json({{ id: request.params.id, q: request.query.q, url: request.baseUrl }}))\n\
                 items.post('/', (request, response) => response.status(201).location('/items/7').send(request.body))\n\
                 app.use('/items', items)\n\
                 app.get('/cookie', (request, response) => response.cookie('seen', 'yes', {{ signed: true }}).send(request.cookies))\n\
                 app.get('/fail', () => {{ throw new Error('in a route') }})\n\
                 app.get('/file', (request, response) => response.sendFile(__filename))\n\
                 app.get('/later', (request, response) => setTimeout(() => response.send('later'), 20))\n\
                 app.use((error, request, response, next) => response.status(418).send(error.message))\n\
                 exports.handler = ({{ extensions: {{ request, response }} }}) => new Promise((resolve) => {{\n\
                 \x20 response.on('finish', resolve)\n\
                 \x20 app(request, response)\n\
                 }})\n"
            ),
        );
        let answer = function.get("/items/7?q=a");
        assert_eq!(answer.json(), json!({"id": "7", "q": "a", "url": "/items"}), "Express {version}");
        assert_eq!((answer.header("x-middleware"), answer.header("x-powered-by")), ("ran", "Express"));
        let answer = function.post("/items", "application/json", r#"{"a": 1}"#);
        assert_eq!(
            (answer.status, answer.header("location"), answer.text().as_str()),
            (201, "/items/7", r#"{"a": 1}"#),
            "Express {version}"
        );
        let answer = function.request(Method::GET, "/cookie").header("cookie", "a=b").send();
        assert_eq!(answer.json(), json!({"a": "b"}), "Express {version}");
        assert!(answer.header("set-cookie").starts_with("seen=s%3Ayes."), "Express {version}");
        assert_eq!(
            (function.get("/fail").status, function.get("/fail").text().as_str()),
            (418, "in a route"),
            "Express {version}"
        );
        assert_eq!(function.get("/later").text(), "later", "Express {version}");
        assert!(function.get("/file").text().starts_with("const express"), "Express {version}");
        let missing = function.get("/nothing");
        assert_eq!(missing.status, 404, "Express {version}");
        assert!(missing.text().contains("Cannot GET /nothing"), "Express {version}: {}", missing.text());
    }
}

#[test]
fn a_server_of_the_functions_own_answers_fetch() {
    let function = serve(
        "function.js",
        "const express = require('express')\n\
         const app = express().use(express.json()).post('/sum', (request, response) => response.json(request.body.reduce((a, b) => a + b)))\n\
         const listening = new Promise((resolve) => { const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port)) })\n\
         exports.handler = async ({ data }) => {\n\
         \x20 const answer = await fetch(`http://127.0.0.1:${await listening}/sum`, {\n\
         \x20   method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(data),\n\
         \x20 })\n\
         \x20 return [answer.status, await answer.json()]\n\
         }",
    );
    assert_eq!(function.post("/", "application/json", "[1, 2, 39]").json(), json!([200, 42]));
}

#[test]
fn the_express_that_is_built_in_is_the_one_that_is_described() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../third_party/express");
    let readme = fs::read_to_string(folder.join("README.md")).expect("a README");
    let output = Command::new("sha256sum").arg(folder.join("express.cjs")).output().expect("sha256sum");
    let sum = String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned();
    assert!(sum.len() == 64 && readme.contains(&sum), "express.cjs has the checksum {sum}");
    let package = fs::read_to_string(folder.join("package.json")).expect("a package.json");
    assert!(package.contains(r#""express": "4.22.3""#) && readme.contains("| Version | 4.22.3 |"));
}
